"""Items -> semantic IDs, as an experiment asks for them."""

from genrec.tokenization.config import TokenizerConfig

__all__ = ["TokenizerConfig"]

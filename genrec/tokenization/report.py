"""What a run keeps for people who want to know how good its semantic IDs are, and what their codes mean."""

from pathlib import Path

import numpy as np

from genrec.data.catalogue import Catalogue
from genrec.data.categories import item_categories
from genrec.tokenization.config import BLENDED_KINDS
from genrec.tokenization.semantic_ids import Tokenized
from tokenizer import Health, code_names, health
from tokenizer.contract import Decoder
from tokenizer.diagnostics import decoded_chunks
from tokenizer.figures import code_map_figure, codebook_figure

CODEBOOK_FIGURE = "codebook.png"
MAP_FIGURE = "code-map.png"
_NAMED_LEVELS = 2


def health_of(tokenized: Tokenized, catalogue: Catalogue) -> Health:
    """Figures of the codes: use, collisions, reconstruction where codes decode, agreement with categories if known."""
    fitted, reconstruction = tokenized.fitted, None
    if fitted is not None and isinstance(fitted.tokenizer, Decoder):
        reconstruction = decoded_chunks(fitted.tokenizer, tokenized.codes)
    return health(
        tokenized.codes,
        tokenized.level_sizes,
        ids=tokenized.semantic_ids,
        embeddings=None if reconstruction is None else tokenized.inputs,
        reconstruction=reconstruction,
        categories=item_categories(catalogue),
        learned=tokenized.made_by.codes is not None or tokenized.made_by.kind in BLENDED_KINDS,
    )


def names_of(tokenized: Tokenized, catalogue: Catalogue) -> dict[tuple[int, ...], str]:
    """Words that set the titles under each prefix of one and of two codes apart; empty where no title has a word."""
    titles = catalogue.fields.get("title")
    if titles is None:
        return {}
    names: dict[tuple[int, ...], str] = {}
    for length in range(1, min(_NAMED_LEVELS, tokenized.codes.shape[1]) + 1):
        try:
            names |= code_names(tokenized.semantic_ids.codes, titles, prefix_length=length)
        except ValueError:  # not one word in all the titles
            return {}
    return names


def as_json(names: dict[tuple[int, ...], str]) -> dict[str, str]:
    """The names by prefix, its codes joined by a full stop: {"12": "shampoo hair argan", "12.7": ...}."""
    return {".".join(map(str, prefix)): name for prefix, name in names.items()}


def write_figures(tokenized: Tokenized, names: dict[tuple[int, ...], str], folder: Path) -> list[Path]:
    """PNG files of the codebook and, where there are vectors, of the items on a map; those that were written.

    Raises:
        ImportError: matplotlib is not installed.
    """
    written = [folder / CODEBOOK_FIGURE]
    codebook_figure(tokenized.codes, written[0], level_sizes=tokenized.level_sizes)
    vectors = tokenized.inputs
    if vectors is not None and vectors.shape[1] > 1 and len(vectors) > 1 and np.ptp(vectors, axis=0).any():
        code_map_figure(vectors, tokenized.codes, names, folder / MAP_FIGURE)
        written.append(folder / MAP_FIGURE)
    return written

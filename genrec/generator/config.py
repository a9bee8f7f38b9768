"""Shape of a generator: what a user chooses, and what is stored beside the weights."""

from dataclasses import dataclass
from typing import Any, Literal, no_type_check

from transformers import PreTrainedConfig

from genrec.generator.layers import LayerShape

Activation = Literal["relu", "gelu"]
EncoderKind = Literal["causal_items", "bidirectional_tokens"]


@dataclass(frozen=True)
class GeneratorOptions:
    """What a user chooses of the generator; the rest follows from the semantic IDs."""

    encoder: EncoderKind = "causal_items"
    """`causal_items`: one vector per item, every position trained in one pass; `bidirectional_tokens`: TIGER's."""
    width: int = 128
    num_heads: int = 4
    encoder_layers: int = 2
    decoder_layers: int = 1
    feed_forward_dim: int = 512
    activation: Activation = "relu"
    dropout: float = 0.3
    max_items: int = 50
    """How many of the newest items of a history the encoder reads."""
    item_vectors: bool = True
    """A learned vector per item, added to those of its codes."""
    repeat_bias: bool = True
    """Whether the item head learns how likely items of the history come again, by how long ago they came."""

    def __post_init__(self) -> None:
        for name in ("width", "num_heads", "encoder_layers", "decoder_layers", "feed_forward_dim", "max_items"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} must be a multiple of num_heads {self.num_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {self.dropout}")


@no_type_check  # transformers' own __init__ takes keys that are no fields, which runtime checkers of dataclasses refuse
class GeneratorConfig(PreTrainedConfig):
    """Everything that is needed to build the model before its weights are loaded."""

    model_type = "genrec"

    level_sizes: list[int] | tuple[int, ...] = (256, 256, 256)
    num_items: int = 1
    encoder: str = "causal_items"
    width: int = 128
    num_heads: int = 4
    encoder_layers: int = 2
    decoder_layers: int = 1
    feed_forward_dim: int = 512
    activation: str = "gelu"  # what generators that were saved without this field have
    dropout: float = 0.3
    max_items: int = 50
    item_vectors: bool = True
    repeat_bias: bool = False  # as `activation`
    semantic_ids_fingerprint: str = ""
    is_encoder_decoder: bool = True
    initializer_range: float = 0.02

    @property
    def layer_shape(self) -> LayerShape:
        """What the layers have in common."""
        return LayerShape(self.width, self.num_heads, self.feed_forward_dim, self.activation, self.dropout)

    @classmethod
    def from_options(
        cls, options: GeneratorOptions, *, level_sizes: tuple[int, ...], num_items: int, fingerprint: str = ""
    ) -> "GeneratorConfig":
        """The config of a generator for a catalogue with these semantic IDs."""
        chosen: dict[str, Any] = {name: getattr(options, name) for name in options.__dataclass_fields__}
        return cls(level_sizes=list(level_sizes), num_items=num_items, semantic_ids_fingerprint=fingerprint, **chosen)

"""The network of an RQ-VAE: encoder, codebooks, decoder. It computes; losses and training are elsewhere."""

import itertools
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tokenizer.preparation import PreparationKind
from tokenizer.quantizer import Distance, Quantized, quantize, rotated, straight_through

Gradient = Literal["straight_through", "rotation"]
CodebookUpdate = Literal["gradient", "ema"]


@dataclass(frozen=True)
class RQVAEConfig:
    """Everything about an RQ-VAE but its number of levels, its codebook size and the seed."""

    preparation: PreparationKind = "standardise"
    """"centre" keeps the distances of the input, "standardise" brings every dimension to variance 1."""
    linear_path: bool = True
    """A linear map beside the layers of the encoder and one beside those of the decoder: they start as the principal
    axes and the layers at zero, so that the untrained network already is a residual k-means."""
    hidden_sizes: tuple[int, ...] | None = None
    """Widths between embedding and latent; None: the powers of two between them (384 -> 256, 128, 64 -> 32)."""
    latent_dim: int | None = None
    """Width of the codebook vectors, cut to that of the embeddings; None: 32. Wider ones reconstruct better,
    but more items collide: in many dimensions outliers take the later levels' codes."""
    distance: Distance = "squared"
    """What a nearest code is: by squared distance, or by angle."""
    gradient: Gradient = "straight_through"
    """How gradients pass the codes: unchanged, or turned with the vector ("rotation", Fifty et al. 2024)."""
    codebook_update: CodebookUpdate = "ema"
    """By the codebook loss, or as a moving average of what each code was chosen for ("ema"; van den Oord et al. 2017,
    appendix A.1)."""
    ema_decay: float = 0.95
    dropout: float = 0.0
    commitment_weight: float = 0.25
    """beta of van den Oord et al. 2017."""
    epochs: int = 100
    batch_size: int = 512
    """Items per optimiser step, over all processes."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    """Part of the epochs that trains without quantisation, so that k-means starts on latents that mean something."""
    reset_every_epochs: int = 10
    """How often unused codes are moved to badly served items."""
    reset_until_epoch: int = 50
    """No code is moved from this epoch on (counted from the first), but once more after the last."""
    settling_share: float = 0.2
    """Last part of the epochs: the encoder stands still, k-means on its latents gives the final codebooks, and the
    decoder learns from them. 0: the codebooks stay as they were learned."""
    level_axes: tuple[int | None, ...] = (None, 4, 3)
    """Along how many principal axes of its residuals each settled level tells latents apart (the last serves all
    further levels); None: all dimensions. Fewer axes give fewer collisions and a coarser reconstruction."""
    refinement_rounds: int = 0
    """Rounds of coding all latents anew and solving for all settled codebooks at once: less error, less hierarchy.
    Needs all dimensions on all levels."""
    beam_size: int = 1
    """Partial codes kept while an item is coded, as in a beam search for the least error. Above 1 it needs all
    dimensions on all levels, and distance "squared"."""
    kmeans_iterations: int = 25
    train_items: int = 262_144
    """At most so many items (a sample by content) are trained on; all are coded."""
    sample_items: int = 65_536
    """At most so many items (seeded choice) start the codebooks and say which codes are unused."""

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "batch_size",
            "reset_every_epochs",
            "kmeans_iterations",
            "beam_size",
            "train_items",
            "sample_items",
        ):
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("weight_decay", "commitment_weight", "reset_until_epoch", "refinement_rounds"):
            _check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        for name, kinds in _CHOICES.items():
            _check(getattr(self, name) in kinds, name, f"one of {', '.join(kinds)}", getattr(self, name))
        _check(0 <= self.ema_decay < 1, "ema_decay", "in [0, 1)", self.ema_decay)
        self._check_settling()
        _check(self.learning_rate > 0, "learning_rate", "more than 0", self.learning_rate)
        _check(0 <= self.dropout < 1, "dropout", "in [0, 1)", self.dropout)
        _check(self.latent_dim is None or self.latent_dim >= 1, "latent_dim", "at least 1", self.latent_dim)
        _check(all(size >= 1 for size in self.hidden_sizes or ()), "hidden_sizes", "at least 1 each", self.hidden_sizes)

    def _check_settling(self) -> None:
        for name in ("warmup_share", "settling_share"):
            _check(0 <= getattr(self, name) < 1, name, "in [0, 1)", getattr(self, name))
        axes, by_angle = self.level_axes, self.distance == "cosine"
        axes_hold = bool(axes) and all(number is None or number >= 1 for number in axes)
        _check(axes_hold, "level_axes", "at least 1 or None for each level", axes)
        _check(not (by_angle and self.settling_share), "settling_share", "0 with distance cosine", self.settling_share)
        together = self.refinement_rounds > 0 or self.beam_size > 1
        separate = by_angle or self.settling_share == 0 or any(number is not None for number in axes)
        if together and separate:
            raise ValueError(
                "refinement_rounds and beam_size above 1 compare all levels: set level_axes to (None,), with a "
                "settling_share above 0 and distance squared"
            )

    @classmethod
    def for_reconstruction(cls) -> "RQVAEConfig":
        """Least error in the input's own distances, whatever that does to collisions."""
        return cls(
            preparation="centre",
            hidden_sizes=(256,),
            latent_dim=1024,
            weight_decay=0.0,
            epochs=40,
            warmup_share=0.0,
            settling_share=0.5,
            level_axes=(None,),
            refinement_rounds=8,
            beam_size=8,
        )

    @property
    def warmup_epochs(self) -> int:
        """Epochs before the codebooks start."""
        return int(self.warmup_share * self.learning_epochs)

    @property
    def settling_epochs(self) -> int:
        """Epochs in which the decoder alone learns."""
        return round(self.settling_share * self.epochs)

    @property
    def learning_epochs(self) -> int:
        """Epochs in which encoder, codebooks and decoder learn together."""
        return self.epochs - self.settling_epochs

    def layer_sizes(self, embedding_dim: int) -> tuple[int, ...]:
        """Widths of the encoder from input to latent; the decoder has them in reverse."""
        latent_dim = min(self.latent_dim or 32, embedding_dim)
        if self.hidden_sizes is not None:
            return (embedding_dim, *self.hidden_sizes, latent_dim)
        powers = [2**exponent for exponent in range(14, 0, -1) if latent_dim < 2**exponent < embedding_dim]
        return (embedding_dim, *(powers or [2 * latent_dim]), latent_dim)


_CHOICES = {
    "preparation": get_args(PreparationKind),
    "distance": get_args(Distance),
    "gradient": get_args(Gradient),
    "codebook_update": get_args(CodebookUpdate),
}


class Coded(NamedTuple):
    """What the network makes of a batch."""

    quantized: Quantized
    decoded: Float[Tensor, "items dim"]


class RQVAENetwork(nn.Module):
    """Prepared embeddings -> latents -> codes -> reconstruction."""

    def __init__(self, embedding_dim: int, *, num_levels: int, codebook_size: int, config: RQVAEConfig) -> None:
        super().__init__()
        self.distance: Distance = config.distance
        self.gradient: Gradient = config.gradient
        sizes = config.layer_sizes(embedding_dim)
        self.encoder = _Map(sizes, config)
        self.decoder = _Map(sizes[::-1], config)
        self.codebooks = nn.Parameter(
            torch.zeros(num_levels, codebook_size, sizes[-1]), requires_grad=config.codebook_update == "gradient"
        )

    @torch.no_grad()
    def start_at(self, axes: Float[Tensor, "dim latent"]) -> None:
        """Set the linear paths to these orthonormal axes and back."""
        for part, weights in ((self.encoder, axes.T), (self.decoder, axes)):
            if part.linear is not None:
                part.linear.weight.copy_(weights)

    def forward(self, prepared: Float[Tensor, "items dim"], *, decode_latents: bool = False) -> Coded:
        """Codes and reconstruction, differentiable. `decode_latents`: the reconstruction skips the codes (warm-up)."""
        latents = self.encoder(prepared)
        quantized = quantize(latents, self.codebooks, distance=self.distance)
        passed = rotated if self.gradient == "rotation" else straight_through
        return Coded(quantized, self.decoder(latents if decode_latents else passed(latents, quantized)))


class _Map(nn.Module):
    """Layers, and a linear path beside them if the config has one."""

    def __init__(self, sizes: tuple[int, ...], config: RQVAEConfig) -> None:
        super().__init__()
        self.layers = _perceptron(sizes, config.dropout)
        self.linear = nn.Linear(sizes[0], sizes[-1], bias=False) if config.linear_path else None
        if self.linear is not None:
            for parameter in self.layers[-1].parameters():
                nn.init.zeros_(parameter)

    def forward(self, vectors: Float[Tensor, "items dim"]) -> Float[Tensor, "items width"]:
        layers = self.layers(vectors)
        return layers if self.linear is None else layers + self.linear(vectors)


def _perceptron(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, next_width in itertools.pairwise(sizes):
        layers += [nn.Linear(width, next_width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])  # the last layer is linear


def _check(holds: bool, name: str, expected: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {expected}, but is {value!r}")

"""The network of an RQ-VAE: encoder, codebooks, decoder. It computes; losses and training are elsewhere."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokenizer.quantizer import Quantized, quantize, straight_through, sum_of_codes


@dataclass(frozen=True)
class RQVAEConfig:
    """Everything about an RQ-VAE but its number of levels, its codebook size and the seed."""

    hidden_sizes: tuple[int, ...] | None = None
    """Widths between embedding and latent; None: the powers of two between them (384 -> 256, 128, 64 -> 32)."""
    latent_dim: int | None = None
    """Width of the codebook vectors; None: 32, or the embeddings' width if that is less. Wider ones reconstruct better,
    but more items collide: in many dimensions outliers take the later levels' codes."""
    dropout: float = 0.1
    commitment_weight: float = 0.25
    """beta of van den Oord et al. 2017."""
    epochs: int = 300
    batch_size: int = 512
    """Items per optimiser step, over all processes."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    warmup_share: float = 0.1
    """Part of the epochs that trains without quantisation, so that k-means starts on latents that mean something."""
    reset_every_epochs: int = 10
    """How often unused codes are moved to badly served items."""
    reset_until_epoch: int = 100
    """No code is moved from this epoch on (counted from the first), but once more after the last."""
    kmeans_iterations: int = 25
    sample_items: int = 65_536
    """At most so many items (seeded choice) start the codebooks and say which codes are unused."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "reset_every_epochs", "kmeans_iterations", "sample_items"):
            _check(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("weight_decay", "commitment_weight", "reset_until_epoch"):
            _check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        _check(self.learning_rate > 0, "learning_rate", "more than 0", self.learning_rate)
        _check(0 <= self.warmup_share < 1, "warmup_share", "in [0, 1)", self.warmup_share)
        _check(0 <= self.dropout < 1, "dropout", "in [0, 1)", self.dropout)
        _check(self.latent_dim is None or self.latent_dim >= 1, "latent_dim", "at least 1", self.latent_dim)
        _check(all(size >= 1 for size in self.hidden_sizes or ()), "hidden_sizes", "at least 1 each", self.hidden_sizes)

    @property
    def warmup_epochs(self) -> int:
        """Epochs before the codebooks start."""
        return int(self.warmup_share * self.epochs)

    def layer_sizes(self, embedding_dim: int) -> tuple[int, ...]:
        """Widths of the encoder from input to latent; the decoder has them in reverse."""
        latent_dim = self.latent_dim or min(32, embedding_dim)
        if self.hidden_sizes is not None:
            return (embedding_dim, *self.hidden_sizes, latent_dim)
        powers = [2**exponent for exponent in range(14, 0, -1) if latent_dim < 2**exponent < embedding_dim]
        return (embedding_dim, *(powers or [2 * latent_dim]), latent_dim)


class Coded(NamedTuple):
    """What the network makes of a batch."""

    quantized: Quantized
    decoded: Float[Tensor, "items dim"]


class RQVAENetwork(nn.Module):
    """Standardised embeddings -> latents -> codes -> reconstruction."""

    def __init__(self, embedding_dim: int, *, num_levels: int, codebook_size: int, config: RQVAEConfig) -> None:
        super().__init__()
        sizes = config.layer_sizes(embedding_dim)
        self.encoder = _perceptron(sizes, config.dropout)
        self.decoder = _perceptron(sizes[::-1], config.dropout)
        self.codebooks = nn.Parameter(torch.zeros(num_levels, codebook_size, sizes[-1]))

    def forward(self, standardised: Float[Tensor, "items dim"], *, decode_latents: bool = False) -> Coded:
        """Codes and reconstruction, differentiable. `decode_latents`: the reconstruction skips the codes (warm-up)."""
        latents = self.encoder(standardised)
        quantized = quantize(latents, self.codebooks)
        return Coded(quantized, self.decoder(latents if decode_latents else straight_through(latents, quantized)))

    def encode(self, standardised: Float[Tensor, "items dim"]) -> Int[Tensor, "items levels"]:
        """Codes only."""
        return quantize(self.encoder(standardised), self.codebooks).codes

    def decode(self, codes: Int[Tensor, "items levels"]) -> Float[Tensor, "items dim"]:
        """Reconstruction (standardised) from codes only."""
        return self.decoder(sum_of_codes(codes, self.codebooks))


def _perceptron(sizes: tuple[int, ...], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width, next_width in itertools.pairwise(sizes):
        layers += [nn.Linear(width, next_width), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers[:-2])  # the last layer is linear


def _check(holds: bool, name: str, expected: str, value: object) -> None:
    if not holds:
        raise ValueError(f"{name} must be {expected}, but is {value!r}")

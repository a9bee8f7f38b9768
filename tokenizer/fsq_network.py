"""The network of finite scalar quantisation: encoder, grid, decoder. It computes; training is elsewhere."""

import itertools
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from tokenizer.preparation import PREPARATION_KINDS, PreparationKind

SMALLEST_SCALAR, LARGEST_SCALAR = 2, 8
_GOOD_SCALAR = 4
"""Mentzer et al. 2023 take no fewer than five values; four make the powers of two."""
_START_DEVIATION = 1.1
"""Deviation of a latent before tanh at which the values of a scalar come about equally often, if it is normal."""


@dataclass(frozen=True)
class FSQConfig:
    """Everything about finite scalar quantisation but its number of levels, its codebook size and the seed."""

    preparation: PreparationKind = "standardise"
    scalars: tuple[int, ...] | None = None
    """Values of each scalar of a code, whose product is the level's size; None: chosen for the codebook size."""
    hidden_sizes: tuple[int, ...] = (256, 256)
    """Widths of the layers beside the encoder's linear path; the decoder has them in reverse."""
    dropout: float = 0.1
    epochs: int = 100
    batch_size: int = 512
    """Items per optimiser step, over all processes."""
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    """Of the layers' matrices."""
    train_items: int = 262_144
    """At most so many items (a sample by content) are trained on; all are coded."""

    def __post_init__(self) -> None:
        if self.preparation not in PREPARATION_KINDS:
            raise ValueError(f"preparation must be one of {', '.join(PREPARATION_KINDS)}, but is {self.preparation!r}")
        if self.scalars is not None and (not self.scalars or min(self.scalars) < SMALLEST_SCALAR):
            raise ValueError(f"scalars must have at least {SMALLEST_SCALAR} values each, but are {self.scalars}")
        for name in ("epochs", "batch_size", "train_items"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, but is {getattr(self, name)}")
        if min(self.hidden_sizes, default=1) < 1:
            raise ValueError(f"hidden_sizes must be at least 1 each, but are {self.hidden_sizes}")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be more than 0, but is {self.learning_rate}")
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay must be at least 0, but is {self.weight_decay}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), but is {self.dropout}")

    def scalars_for(self, codebook_size: int) -> tuple[int, ...]:
        """Values of each scalar of a level. Raises ValueError where the chosen ones make more codes than there are."""
        if self.scalars is None:
            return best_scalars(codebook_size)
        if math.prod(self.scalars) > codebook_size:
            raise ValueError(
                f"scalars {self.scalars} make {math.prod(self.scalars)} codes, but codebook_size is {codebook_size}; "
                f"raise codebook_size, or choose scalars such as {best_scalars(codebook_size)}"
            )
        return self.scalars


def best_scalars(codebook_size: int) -> tuple[int, ...]:
    """Sizes from 2 to 8, falling, whose product comes closest to `codebook_size` from below.

    Of equal products first that with the fewest sizes below 4, then the fewest sizes, then the most even ones.
    """

    def products(limit: int, largest: int) -> list[tuple[int, ...]]:
        tails = ((size, products(limit // size, size)) for size in range(SMALLEST_SCALAR, min(limit, largest) + 1))
        return [(), *((size, *tail) for size, found in tails for tail in found)]

    def rank(sizes: tuple[int, ...]) -> tuple[int, ...]:
        small = sum(size < _GOOD_SCALAR for size in sizes)
        return (math.prod(sizes), -small, -len(sizes), min(sizes, default=0))

    return max(products(codebook_size, LARGEST_SCALAR), key=rank)


class FSQNetwork(nn.Module):
    """Prepared embeddings -> bounded latents -> grid -> reconstruction (Mentzer et al. 2023, section 3)."""

    sizes: Tensor
    """Number of values of each scalar, level after level."""

    def __init__(self, prepared_dim: int, *, num_levels: int, scalars: tuple[int, ...], config: FSQConfig) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.scalars = scalars
        self.register_buffer("sizes", torch.tensor(scalars * num_levels), persistent=False)
        widths = (prepared_dim, *config.hidden_sizes, num_levels * len(scalars))
        self.encoder = _LinearAndLayers(widths, config.dropout)
        self.decoder = _LinearAndLayers(widths[::-1], config.dropout)

    def bounded(self, prepared: Float[Tensor, "items dim"]) -> Float[Tensor, "items scalars"]:
        """Latents in (-1, 1). The shift that the paper puts before tanh for even sizes is left to the bias."""
        return torch.tanh(self.encoder(prepared))

    def digits(self, bounded: Float[Tensor, "items scalars"]) -> Int[Tensor, "items scalars"]:
        """Number of the nearest value of each scalar, from 0 on: the paper's rounding, counted from the lowest."""
        return torch.round((bounded + 1) / 2 * (self.sizes - 1)).long()

    def values(self, digits: Int[Tensor, "items scalars"]) -> Float[Tensor, "items scalars"]:
        """The values, evenly spread from -1 to 1."""
        return digits.to(self.decoder.linear.weight.dtype) / (self.sizes - 1) * 2 - 1

    def forward(self, prepared: Float[Tensor, "items dim"]) -> Float[Tensor, "items dim"]:
        """Reconstruction; gradients pass the rounding as if nothing had been rounded."""
        bounded = self.bounded(prepared)
        return self.decoder(bounded + (self.values(self.digits(bounded)) - bounded).detach())

    def codes(self, bounded: Float[Tensor, "items scalars"]) -> Int[Tensor, "items levels"]:
        """The scalars of a level as one number, the first scalar being the least significant."""
        grouped = self.digits(bounded).view(len(bounded), self.num_levels, len(self.scalars))
        return (grouped * self._places()).sum(dim=2)

    def values_of_codes(self, codes: Int[Tensor, "items levels"]) -> Float[Tensor, "items scalars"]:
        """What the codes stand for on the grid."""
        scalars = self.sizes[: len(self.scalars)]
        digits = codes[:, :, None] // self._places() % scalars
        return self.values(digits.flatten(start_dim=1))

    def _places(self) -> Int[Tensor, " scalars"]:
        return self.sizes.new_tensor([1, *itertools.accumulate(self.scalars[:-1], lambda a, b: a * b)])


class _LinearAndLayers(nn.Module):
    """A linear path, and layers beside it that start at zero."""

    def __init__(self, widths: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(widths[0], widths[-1])
        layers: list[nn.Module] = []
        for width, next_width in itertools.pairwise(widths):
            layers += [nn.Linear(width, next_width), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers[:-2])
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, vectors: Float[Tensor, "items dim"]) -> Float[Tensor, "items width"]:
        return self.linear(vectors) + self.layers(vectors)


@torch.no_grad()
def start_on_principal_axes(network: FSQNetwork, prepared: Float[ndarray, "items dim"], *, seed: int) -> None:
    """Set the linear paths so that the untrained network already is a quantiser that uses its whole grid.

    The scalars are the principal axes, the strongest on the first level; where there are more scalars than axes, seeded
    rotations of all axes follow. The decoder is the least-squares map from the grid's values to the embeddings.
    """
    mean = prepared.mean(axis=0)
    directions = _START_DEVIATION * _unit_variance_directions(prepared - mean, len(network.sizes), seed)
    _set_linear(network.encoder.linear, directions.T, -mean @ directions)
    bounded = torch.tanh(torch.from_numpy((prepared - mean) @ directions))
    values = network.values(network.digits(bounded)).double().numpy()
    known = np.column_stack([values, np.ones(len(values))])
    solution = np.linalg.lstsq(known, prepared, rcond=1e-8)[0]
    _set_linear(network.decoder.linear, solution[:-1].T, solution[-1])


def _unit_variance_directions(
    centred: Float[ndarray, "items dim"], number: int, seed: int
) -> Float[ndarray, "dim {number}"]:
    variances, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    variances, axes = variances[::-1], axes[:, ::-1]
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))])  # no axis flips between runs
    spread = variances > 1e-10 * max(variances[0], 1e-10)
    if not spread.any():
        return np.zeros((len(axes), number))
    whitened = axes[:, spread] / np.sqrt(variances[spread])
    random, blocks = np.random.default_rng(seed), [whitened]
    while sum(block.shape[1] for block in blocks) < number:
        blocks.append(whitened @ np.linalg.qr(random.normal(size=(whitened.shape[1],) * 2))[0])
    return np.hstack(blocks)[:, :number]


def _set_linear(linear: nn.Linear, weight: Float[ndarray, "out in"], bias: Float[ndarray, " out"]) -> None:
    linear.weight.copy_(torch.from_numpy(weight))
    linear.bias.copy_(torch.from_numpy(bias))

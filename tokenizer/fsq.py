"""Semantic IDs by finite scalar quantisation (Mentzer et al. 2023): a grid in place of learned codebooks."""

import copy
import math
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.canonical_rows import canonical_rows
from tokenizer.checkpoint import (
    CONFIG_FILE,
    checked_array,
    config_from_json,
    read_checkpoint,
    stored_count,
    write_checkpoint,
)
from tokenizer.contract import ENCODE_ITEMS, checked_codes, checked_sizes
from tokenizer.diagnostics import warn_of_collapse
from tokenizer.fsq_network import SMALLEST_SCALAR, FSQConfig, FSQNetwork, start_on_principal_axes
from tokenizer.fsq_training import train_fsq
from tokenizer.preparation import Preparation, checked_embeddings

__all__ = ["FSQ", "FSQConfig"]


class FSQ:
    """An autoencoder whose latents are rounded to a few values each; the scalars of a group make a code.

    A level has as many codes as its scalars have values together: `codebook_size` where that is such a product (256 is
    8 x 8 x 4), else the next one below.
    """

    def __init__(
        self, network: FSQNetwork, preparation: Preparation, *, seed: int = 0, config: FSQConfig | None = None
    ) -> None:
        self.network = network.eval()
        self.preparation = preparation
        self.seed = seed
        self.config = config or FSQConfig()

    @classmethod
    def fit(
        cls,
        embeddings: Float[ndarray, "items dim"],
        *,
        num_levels: int = 3,
        codebook_size: int = 256,
        seed: int = 0,
        config: FSQConfig | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "FSQ":
        """Start on the principal axes, then train; the same items, seed and machine give the same codes.

        `progress(done, all)` is called after each epoch. A collapse is logged as a warning that says what to do.

        Raises:
            ValueError: no item, an embedding that is not finite, scalars that make more codes than `codebook_size`, or
                a training that diverged.
        """
        config = config or FSQConfig()
        checked_sizes(num_levels, codebook_size)
        scalars = config.scalars_for(codebook_size)
        checked = checked_embeddings(embeddings)
        if len(checked) == 0:
            raise ValueError("expected at least one embedding, but got none")
        sample = checked[canonical_rows(checked, seed=seed, max_items=config.train_items)]
        preparation = Preparation.fit(sample, kind=config.preparation)
        prepared = preparation.apply(sample)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = FSQNetwork(prepared.shape[1], num_levels=num_levels, scalars=scalars, config=config)
        start_on_principal_axes(network, prepared, seed=seed)
        network = train_fsq(network, prepared.astype(np.float32), config, seed=seed, progress=progress)
        fitted = cls(network, preparation, seed=seed, config=config)
        warn_of_collapse(fitted.encode(sample), fitted.level_sizes)
        return fitted

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Number of possible codes of each level."""
        return (math.prod(self.network.scalars),) * self.network.num_levels

    @cached_property
    def _exact(self) -> FSQNetwork:
        """The network in float64: rounding does not depend on what else is in the batch."""
        return copy.deepcopy(self.network).double()

    @torch.no_grad()
    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item. Raises ValueError for another width or values not finite."""
        parts = [
            self._exact.codes(self._bounded(embeddings[start : start + ENCODE_ITEMS])).numpy()
            for start in range(0, max(len(embeddings), 1), ENCODE_ITEMS)
        ]
        return np.concatenate(parts)

    @torch.no_grad()
    def decode(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items dim"]:
        """The embeddings that the codes stand for, in the units of the input. Raises ValueError for unknown codes."""
        checked = torch.from_numpy(checked_codes(codes, self.level_sizes))
        network = self._exact
        parts = [network.decoder(network.values_of_codes(part)).numpy() for part in checked.split(ENCODE_ITEMS)]
        return np.concatenate([self.preparation.undo(part) for part in parts])

    @torch.no_grad()
    def last_level_distances(
        self, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
    ) -> Float[ndarray, "items codes"]:
        """Squared distance (float64) of each item to every code of the last level, its other codes as given.

        Measured between the bounded latents and the grid, whose values reach from -1 to 1.
        """
        network, width = self._exact, len(self.network.scalars)
        bounded = self._bounded(embeddings)
        chosen = network.values_of_codes(torch.from_numpy(checked_codes(codes, self.level_sizes)))
        error = (bounded - chosen)[:, :-width].square().sum(dim=1, keepdim=True)
        every_code = torch.arange(self.level_sizes[-1])[:, None].expand(-1, len(self.level_sizes))
        grid = network.values_of_codes(every_code)[:, -width:]
        last = sum((bounded[:, place - width, None] - grid[:, place]).square() for place in range(width))
        return (error + last).numpy()

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        config = {
            "num_levels": len(self.level_sizes),
            "codebook_size": self.level_sizes[0],
            "scalars": list(self.network.scalars),
            "embedding_dim": self.preparation.dim,
            "seed": self.seed,
            "config": asdict(self.config),
        }
        arrays = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        arrays |= {f"preparation.{name}": part for name, part in self.preparation.arrays().items()}
        write_checkpoint(Path(path), "FSQ", config, arrays)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "FSQ":
        """Read what `save_pretrained` wrote.

        Raises:
            ValueError: a file is missing, damaged, or of another kind or format; it is named.
        """
        folder = Path(path)
        stored, arrays = read_checkpoint(folder, "FSQ")
        levels, size, dim, seed = (
            stored_count(folder, stored, key) for key in ("num_levels", "codebook_size", "embedding_dim", "seed")
        )
        config = config_from_json(folder, FSQConfig, stored)
        scalars = _checked_scalars(folder, stored.get("scalars"), size)
        network = FSQNetwork(dim, num_levels=levels, scalars=scalars, config=config)
        weights = {
            name: torch.from_numpy(checked_array(folder, arrays, name, tuple(tensor.shape)))
            for name, tensor in network.state_dict().items()
        }
        network.load_state_dict(weights)
        parts = {name.removeprefix("preparation."): part for name, part in arrays.items()}
        preparation = Preparation.from_arrays(folder, parts, dim, dim if config.preparation == "whiten" else None)
        return cls(network, preparation, seed=seed, config=config)

    def _bounded(self, embeddings: Float[ndarray, "items dim"]) -> torch.Tensor:
        return self._exact.bounded(torch.from_numpy(self.preparation.apply(embeddings)))


def _checked_scalars(folder: Path, scalars: object, codebook_size: int) -> tuple[int, ...]:
    whole = isinstance(scalars, list) and all(type(size) is int and size >= SMALLEST_SCALAR for size in scalars)
    if not isinstance(scalars, list) or not whole or math.prod(scalars) != codebook_size:
        raise ValueError(
            f"{folder / CONFIG_FILE}: expected 'scalars' whose product is codebook_size {codebook_size}, "
            f"but found {scalars!r}"
        )
    return tuple(scalars)

"""Semantic IDs from a residual-quantised variational autoencoder (TIGER: Rajput et al. 2023, section 3.1)."""

import copy
import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.canonical_rows import canonical_rows
from tokenizer.checkpoint import checked_array, config_from_json, read_checkpoint, stored_count, write_checkpoint
from tokenizer.contract import ENCODE_ITEMS, checked_codes, checked_sizes
from tokenizer.diagnostics import warn_of_collapse
from tokenizer.joint_codebooks import code_corrections, searched_codes
from tokenizer.network import RQVAEConfig, RQVAENetwork
from tokenizer.preparation import Preparation, checked_embeddings
from tokenizer.residual_levels import ResidualLevels, separating_axes, sum_of_codes
from tokenizer.settling import learned_levels, level_axes, settled_levels, train_decoder
from tokenizer.training import train_network

logger = logging.getLogger(__name__)


class RQVAE:
    """A trained network, levels of codes over its latents, and the preparation of its inputs.

    Same contract as `ResidualKMeans`. Decoding adds to the network's reconstruction what the codes' corrections say, as
    there.
    """

    def __init__(
        self,
        network: RQVAENetwork,
        levels: ResidualLevels,
        corrections: Float[ndarray, "levels codes dim"],
        preparation: Preparation,
        *,
        seed: int = 0,
        config: RQVAEConfig | None = None,
    ) -> None:
        self.network = network.eval()
        self.levels = levels
        self.corrections = corrections
        self.preparation = preparation
        self.seed = seed
        self.config = config or RQVAEConfig()

    @classmethod
    def fit(
        cls,
        embeddings: Float[ndarray, "items dim"],
        *,
        num_levels: int = 3,
        codebook_size: int = 256,
        seed: int = 0,
        config: RQVAEConfig | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> "RQVAE":
        """Train on the items; the same items, seed and machine give the same codes, in any order of the rows.

        `progress(done, all)` is called after each epoch. A collapse is logged as a warning that says what to do, and so
        is that more than `config.train_items` items are there, the rest of which is coded only.

        Raises:
            ValueError: fewer items than codes, an embedding that is not finite, or a training that diverged.
        """
        config = config or RQVAEConfig()
        checked_sizes(num_levels, codebook_size)
        checked = checked_embeddings(embeddings)
        sample = checked[canonical_rows(checked, seed=seed, max_items=config.train_items)]
        if len(sample) < len(checked):
            logger.info("the RQ-VAE trains on a sample of %d of %d items", len(sample), len(checked))
        preparation = Preparation.fit(sample, kind=config.preparation)
        prepared = preparation.apply(sample).astype(np.float32)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = RQVAENetwork(checked.shape[1], num_levels=num_levels, codebook_size=codebook_size, config=config)
        no_codes = np.empty((len(prepared), 0), dtype=np.int64)
        latent_dim = network.codebooks.shape[2]
        network.start_at(torch.from_numpy(separating_axes(prepared, no_codes, latent_dim)))
        network = train_network(network, prepared, config, seed=seed, progress=_part_of(progress, config, done=0))
        levels = learned_levels(network)
        if config.settling_epochs:
            latents = _latents(network, prepared)
            levels = settled_levels(network, latents, config, seed=seed)
            summed = levels.decode(searched_codes(latents, levels, beam_size=config.beam_size))
            told = _part_of(progress, config, done=config.learning_epochs)
            network = train_decoder(network, summed, prepared, config, seed=seed, progress=told)
        return cls._with_corrections(network, levels, preparation, sample, seed=seed, config=config)

    @classmethod
    def _with_corrections(
        cls,
        network: RQVAENetwork,
        levels: ResidualLevels,
        preparation: Preparation,
        sample: Float[ndarray, "items dim"],
        *,
        seed: int,
        config: RQVAEConfig,
    ) -> "RQVAE":
        size, dim = levels.level_sizes[0], preparation.dim
        without = np.zeros((len(levels.level_sizes), size, dim), dtype=np.float32)
        fitted = cls(network, levels, without, preparation, seed=seed, config=config)
        codes = fitted.encode(sample)
        warn_of_collapse(codes, fitted.level_sizes)
        fitted.corrections = code_corrections(sample, fitted.decode(codes), codes, size)
        return fitted

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Number of possible codes of each level."""
        return self.levels.level_sizes

    @cached_property
    def _exact(self) -> RQVAENetwork:
        """The network in float64: rounding does not depend on what else is in the batch."""
        return copy.deepcopy(self.network).double()

    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item, coarse to fine. Raises ValueError for another width or values not finite."""
        starts = range(0, max(len(embeddings), 1), ENCODE_ITEMS)
        return np.concatenate([self._encode_part(embeddings[start : start + ENCODE_ITEMS]) for start in starts])

    def _encode_part(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        beam_size, distance = self.config.beam_size, self.config.distance
        return searched_codes(self._exact_latents(embeddings), self.levels, beam_size=beam_size, distance=distance)

    @torch.no_grad()
    def decode(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items dim"]:
        """The embeddings that the codes stand for, in the units of the input. Raises ValueError for unknown codes."""
        checked = checked_codes(codes, self.level_sizes)
        summed = torch.from_numpy(self.levels.decode(checked))
        prepared = torch.cat([self.network.decoder(part) for part in summed.split(ENCODE_ITEMS)]).numpy()
        return self.preparation.undo(prepared) + sum_of_codes(checked, list(self.corrections))

    def last_level_distances(
        self, embeddings: Float[ndarray, "items dim"], codes: Int[ndarray, "items levels"]
    ) -> Float[ndarray, "items codes"]:
        """Squared distance (float64) of each item to every code of the last level, its other codes as given."""
        checked = checked_codes(codes, self.level_sizes)
        return self.levels.last_distances(self._exact_latents(embeddings), checked, distance=self.config.distance)

    @torch.no_grad()
    def _exact_latents(self, embeddings: Float[ndarray, "items dim"]) -> Float[ndarray, "items latent"]:
        return self._exact.encoder(torch.from_numpy(self.preparation.apply(embeddings))).numpy()

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        config = {
            "num_levels": len(self.level_sizes),
            "codebook_size": self.level_sizes[0],
            "embedding_dim": self.preparation.dim,
            "seed": self.seed,
            "config": asdict(self.config),
        }
        arrays = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        arrays |= {"corrections": self.corrections, **self.levels.arrays()}
        arrays |= {f"preparation.{name}": part for name, part in self.preparation.arrays().items()}
        write_checkpoint(Path(path), "RQVAE", config, arrays)

    @classmethod
    def from_pretrained(cls, path: str | Path) -> "RQVAE":
        """Read what `save_pretrained` wrote.

        Raises:
            ValueError: a file is missing, damaged, or of another kind or format; it is named.
        """
        folder = Path(path)
        stored, arrays = read_checkpoint(folder, "RQVAE")
        levels, size, dim = (
            stored_count(folder, stored, key) for key in ("num_levels", "codebook_size", "embedding_dim")
        )
        config = config_from_json(folder, RQVAEConfig, stored)
        network = RQVAENetwork(dim, num_levels=levels, codebook_size=size, config=config)
        weights = {
            name: torch.from_numpy(checked_array(folder, arrays, name, tuple(tensor.shape)))
            for name, tensor in network.state_dict().items()
        }
        network.load_state_dict(weights)
        parts = {name.removeprefix("preparation."): part for name, part in arrays.items()}
        preparation = Preparation.from_arrays(folder, parts, dim, dim if config.preparation == "whiten" else None)
        axes = level_axes(config, levels)
        latent_dim = network.codebooks.shape[2]
        fitted = ResidualLevels.from_arrays(folder, arrays, level_axes=axes, codebook_size=size, dim=latent_dim)
        corrections = checked_array(folder, arrays, "corrections", (levels, size, dim))
        seed = stored_count(folder, stored, "seed")
        return cls(network, fitted, corrections, preparation, seed=seed, config=config)


def _part_of(progress: Callable[[int, int], None] | None, config: RQVAEConfig, *, done: int) -> Callable[..., None]:
    """Tells the epochs of one part of the training as epochs of all of it."""
    return lambda epochs, *_: progress(done + epochs, config.epochs) if progress else None


@torch.no_grad()
def _latents(network: RQVAENetwork, prepared: Float[ndarray, "items dim"]) -> Float[ndarray, "items latent"]:
    return torch.cat([network.encoder(part) for part in torch.from_numpy(prepared).split(ENCODE_ITEMS)]).numpy()

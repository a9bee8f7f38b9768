"""Semantic IDs from a residual-quantised variational autoencoder (TIGER: Rajput et al. 2023, section 3.1)."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.checkpoint import checked_array, config_from_json, read_checkpoint, stored_count, write_checkpoint
from tokenizer.diagnostics import warn_of_collapse
from tokenizer.network import RQVAEConfig, RQVAENetwork
from tokenizer.residual_kmeans import ENCODE_ITEMS, checked_codes, checked_sizes
from tokenizer.standardisation import Standardisation, checked_embeddings
from tokenizer.training import train_network


class RQVAE:
    """A trained network with the standardisation of its inputs. Same contract as `ResidualKMeans`."""

    def __init__(
        self,
        network: RQVAENetwork,
        standardisation: Standardisation,
        *,
        seed: int = 0,
        config: RQVAEConfig | None = None,
    ) -> None:
        self.network = network.eval()
        self.standardisation = standardisation
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
        """Train on all items; the same input, seed and machine give the same codes.

        `progress(done, all)` is called after each epoch. A collapse is logged as a warning that says what to do.

        Raises:
            ValueError: fewer items than codes, an embedding that is not finite, or a training that diverged.
        """
        config = config or RQVAEConfig()
        checked_sizes(num_levels, codebook_size)
        checked = checked_embeddings(embeddings)
        standardisation = Standardisation.fit(checked)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = RQVAENetwork(checked.shape[1], num_levels=num_levels, codebook_size=codebook_size, config=config)
        network = train_network(network, standardisation.apply(checked), config, seed=seed, progress=progress)
        fitted = cls(network, standardisation, seed=seed, config=config)
        warn_of_collapse(fitted.encode(checked), fitted.level_sizes)
        return fitted

    @property
    def level_sizes(self) -> tuple[int, ...]:
        """Number of possible codes of each level."""
        num_levels, codebook_size, _ = self.network.codebooks.shape
        return (codebook_size,) * num_levels

    @torch.no_grad()
    def encode(self, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
        """Codes (int64) of each item, coarse to fine. Raises ValueError for another width or values not finite."""
        standardised = torch.from_numpy(self.standardisation.apply(embeddings))
        return torch.cat([self.network.encode(part) for part in standardised.split(ENCODE_ITEMS)]).numpy()

    @torch.no_grad()
    def decode(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items dim"]:
        """The embeddings that the codes stand for, in the units of the input. Raises ValueError for unknown codes."""
        checked = torch.from_numpy(checked_codes(codes, self.level_sizes))
        standardised = torch.cat([self.network.decode(part) for part in checked.split(ENCODE_ITEMS)]).numpy()
        return self.standardisation.undo(standardised)

    def save_pretrained(self, path: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into the folder `path`."""
        config = {
            "num_levels": len(self.level_sizes),
            "codebook_size": self.level_sizes[0],
            "embedding_dim": self.standardisation.dim,
            "seed": self.seed,
            "config": asdict(self.config),
        }
        arrays = {name: tensor.numpy() for name, tensor in self.network.state_dict().items()}
        arrays |= {"mean": self.standardisation.mean, "scale": self.standardisation.scale}
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
        mean, scale = (checked_array(folder, arrays, name, (dim,)) for name in ("mean", "scale"))
        return cls(network, Standardisation(mean, scale), seed=stored_count(folder, stored, "seed"), config=config)

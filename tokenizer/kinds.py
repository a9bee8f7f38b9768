"""Every kind of tokenizer by name, and how a saved one of unknown kind is read."""

import json
from pathlib import Path

from tokenizer.checkpoint import CONFIG_FILE
from tokenizer.contract import Tokenizer
from tokenizer.fsq import FSQ
from tokenizer.hierarchical_kmeans import HierarchicalKMeans
from tokenizer.hybrid_codes import HybridCodes
from tokenizer.opq import OPQ
from tokenizer.random_codes import RandomCodes
from tokenizer.residual_kmeans import ResidualKMeans
from tokenizer.rqvae import RQVAE
from tokenizer.sequential_codes import SequentialCodes

KINDS = {
    kind.__name__: kind
    for kind in (RQVAE, ResidualKMeans, FSQ, OPQ, RandomCodes, SequentialCodes, HierarchicalKMeans, HybridCodes)
}
"""By the name that stands in config.json."""


def load_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer in the folder `path`, of whichever kind it is.

    Raises:
        ValueError: a file is missing, damaged, or of an unknown kind or format; it is named.
    """
    config = Path(path) / CONFIG_FILE
    try:
        found = json.loads(config.read_bytes())["tokenizer"]
        kind = KINDS[found]
    except FileNotFoundError as error:
        raise ValueError(f"{config} is missing: {path} holds no saved tokenizer; check the folder") from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{config} is not the config of a tokenizer ({error}); fit the tokenizer again") from error
    except KeyError as error:
        raise ValueError(f"{config}: expected a tokenizer out of {', '.join(KINDS)}, but found {error}") from error
    return kind.from_pretrained(path)

"""Generative retrieval on semantic IDs: the part with users in it. Start reading at `genrec.pipeline`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genrec.additions.add import add_items
    from genrec.config import ExperimentConfig, load_config
    from genrec.errors import ArtifactError, ConfigError, DataError, GenRecError, TrainingError, UnknownItemError
    from genrec.pipeline import run_pipeline
    from genrec.recommendation.recommender import Recommender

_HOME_OF = {
    "ArtifactError": "genrec.errors",
    "ConfigError": "genrec.errors",
    "DataError": "genrec.errors",
    "ExperimentConfig": "genrec.config",
    "GenRecError": "genrec.errors",
    "Recommender": "genrec.recommendation.recommender",
    "TrainingError": "genrec.errors",
    "UnknownItemError": "genrec.errors",
    "add_items": "genrec.additions.add",
    "load_config": "genrec.config",
    "run_pipeline": "genrec.pipeline",
}

__all__ = [
    "ArtifactError",
    "ConfigError",
    "DataError",
    "ExperimentConfig",
    "GenRecError",
    "Recommender",
    "TrainingError",
    "UnknownItemError",
    "add_items",
    "load_config",
    "run_pipeline",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import genrec` and `genrec --help` do not wait for torch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'genrec' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)

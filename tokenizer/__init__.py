"""Item embeddings -> semantic IDs."""

from tokenizer.code_names import code_names
from tokenizer.contract import Tokenizer
from tokenizer.diagnostics import Health, health
from tokenizer.drift import Drift, drift
from tokenizer.fsq import FSQ, FSQConfig
from tokenizer.hierarchical_kmeans import HierarchicalKMeans, HierarchicalKMeansConfig
from tokenizer.hybrid_codes import HybridCodes
from tokenizer.kinds import load_tokenizer
from tokenizer.network import RQVAEConfig
from tokenizer.opq import OPQ, OPQConfig
from tokenizer.random_codes import RandomCodes
from tokenizer.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from tokenizer.rqvae import RQVAE
from tokenizer.semantic_ids import SemanticIDs
from tokenizer.sequential_codes import SequentialCodes
from tokenizer.uniqueness import Collisions

__all__ = [
    "FSQ",
    "OPQ",
    "RQVAE",
    "Collisions",
    "Drift",
    "FSQConfig",
    "Health",
    "HierarchicalKMeans",
    "HierarchicalKMeansConfig",
    "HybridCodes",
    "OPQConfig",
    "RQVAEConfig",
    "RandomCodes",
    "ResidualKMeans",
    "ResidualKMeansConfig",
    "SemanticIDs",
    "SequentialCodes",
    "Tokenizer",
    "code_names",
    "drift",
    "health",
    "load_tokenizer",
]

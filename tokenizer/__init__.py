"""Item embeddings -> semantic IDs."""

from tokenizer.diagnostics import Health, health
from tokenizer.network import RQVAEConfig
from tokenizer.residual_kmeans import ResidualKMeans, ResidualKMeansConfig
from tokenizer.rqvae import RQVAE
from tokenizer.semantic_ids import SemanticIDs

__all__ = ["RQVAE", "Health", "RQVAEConfig", "ResidualKMeans", "ResidualKMeansConfig", "SemanticIDs", "health"]

"""Vectors to quantise: made ones, from seeds alone, and those of a data set's items as a run embeds them."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from genrec.atomic_files import atomic_write
from genrec.config import load_config
from genrec.data.embeddings import bundled_minilm, embed_texts, item_texts
from genrec.data.preparation import prepare
from genrec.data.sources.files import data_folder
from genrec.fingerprints import fingerprint

_CHUNK_ITEMS = 50_000


def clustered_chunks(
    num_items: int, *, dim: int, num_clusters: int, seed: int
) -> Iterator[Float32[ndarray, "items dim"]]:
    """Gaussian clusters, so many items at a time.

    Clusters lie along axes of falling strength (1 / (1 + axis / 16)), as embeddings do, and each is stretched along
    them in its own way (log-normal); a rotation then mixes the axes.
    """
    rng = np.random.default_rng(seed)
    strength = (1 / (1 + np.arange(dim) / 16)).astype(np.float32)
    centres = rng.standard_normal((num_clusters, dim), dtype=np.float32) * strength
    stretch = 0.6 * np.exp(0.5 * rng.standard_normal((num_clusters, dim), dtype=np.float32)) * strength
    rotation = np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)
    for start in range(0, num_items, _CHUNK_ITEMS):
        chosen = rng.integers(num_clusters, size=min(_CHUNK_ITEMS, num_items - start))
        noise = rng.standard_normal((len(chosen), dim), dtype=np.float32)
        yield (centres[chosen] + noise * stretch[chosen]) @ rotation


def write_clustered(path: Path, num_items: int, *, dim: int, num_clusters: int, seed: int) -> None:
    """A .npy file of `clustered_chunks`, never more than one of them in memory."""
    table = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(num_items, dim))
    start = 0
    for chunk in clustered_chunks(num_items, dim=dim, num_clusters=num_clusters, seed=seed):
        table[start : start + len(chunk)] = chunk
        start += len(chunk)
    table.flush()


def dataset_vectors(name: str) -> Path:
    """A .npy file with the vectors of the items of configs/NAME.yaml, as `genrec run` embeds them.

    They stay in the system's temporary folder, under a name that stands for the texts and the encoder.
    """
    config = load_config(f"configs/{name}.yaml")
    catalogue = prepare(config.data, data_dir=data_folder(), seed=config.seed).catalogue
    texts = item_texts(catalogue, config.embeddings)
    key = fingerprint(texts, config.embeddings, config.seed, bundled_minilm() is not None)
    path = Path(tempfile.gettempdir()) / "genrec-benchmarks" / f"{name}-{key[:16]}.npy"
    if not path.exists():
        vectors = embed_texts(texts, config.embeddings, seed=config.seed).vectors
        atomic_write(path, lambda temporary: np.save(temporary, vectors))
    return path


def content_sha256(vectors: Float32[ndarray, "items dim"]) -> str:
    """SHA-256 in hex over the values, row by row."""
    digest = hashlib.sha256()
    for start in range(0, len(vectors), _CHUNK_ITEMS):
        digest.update(np.ascontiguousarray(vectors[start : start + _CHUNK_ITEMS]).tobytes())
    return digest.hexdigest()

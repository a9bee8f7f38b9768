"""Vectors of new items by the encoder that embedded a run's own, checked on a few of these."""

from typing import Any

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from genrec.additions.finished_run import FinishedRun
from genrec.atomic_files import read_json
from genrec.data.catalogue import Catalogue
from genrec.data.embeddings import EmbeddingConfig, Encoder, item_texts, load_encoder
from genrec.data.vector_files import open_vectors
from genrec.errors import DataError
from genrec.progress import Bar

_PROBES = 8
LARGEST_DIFFERENCE = 1e-2
"""Of a vector, relative to its length: other machines round otherwise, other encoders differ by far more."""


def known_vectors(run: FinishedRun) -> Float[ndarray, "items embedding_dim"]:
    """The vectors of the run's own items, left on disk."""
    run.folder.require("embed", "coding items")
    return open_vectors(run.folder.embeddings)


def embedded_vectors(
    run: FinishedRun, encoder: Encoder, new: Catalogue, *, bar: Bar | None = None
) -> Float32[ndarray, "items embedding_dim"]:
    """Vectors of the new items by the run's encoder."""
    texts = item_texts(new, run.section("embeddings", EmbeddingConfig))
    return np.concatenate([*encoder.parts(texts, bar)])


def encoder_of(run: FinishedRun) -> Encoder:
    """The run's encoder; TF-IDF keeps the words and axes that it learned from the known items.

    Raises:
        DataError: the run's vectors came from a file, or the encoder gives other vectors now than it did then.
    """
    options, vectors = run.section("embeddings", EmbeddingConfig), known_vectors(run)
    if options.file is not None:
        raise DataError(
            f"the items of {run.path} were embedded elsewhere (embeddings.file: {options.file}); "
            "give the vectors of the new items with --vectors FILE"
        )
    about = read_json(run.folder.path / "embeddings.json")
    seed = about.get("seed", run.config.get("seed", 0))
    encoder = load_encoder(options, seed=seed, fitted_on=run.texts_of_fit(options))
    if encoder.about != about:
        raise DataError(_changed(run, about, encoder.about))
    rows = np.unique(np.linspace(0, len(vectors) - 1, _PROBES).astype(np.int64))
    expected, found = np.asarray(vectors[rows]), encoder.encode(item_texts(run.catalogue.take(rows), options))
    longest_difference = LARGEST_DIFFERENCE * np.maximum(np.linalg.norm(expected, axis=1), 1e-6)
    if expected.shape != found.shape or (np.linalg.norm(expected - found, axis=1) > longest_difference).any():
        raise DataError(
            f"the encoder gives other vectors for the items of {run.path} now than {run.folder.embeddings} holds: it "
            "is another version, or the file was replaced; install the old one, or give vectors with --vectors FILE"
        )
    return encoder


def _changed(run: FinishedRun, about: dict[str, Any], now: dict[str, Any]) -> str:
    names = [name for name in {**about, **now} if about.get(name) != now.get(name)]
    changes = ", ".join(f"{name} was {about.get(name)!r} and is {now.get(name)!r}" for name in names)
    return (
        f"the items of {run.path} were embedded otherwise than would be done now ({changes}); install the same "
        "encoder, undo the change in config.yaml, or give vectors with --vectors FILE"
    )

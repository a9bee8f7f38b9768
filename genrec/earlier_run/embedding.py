"""Vectors of a newer catalogue by the encoder of the earlier run, which embeds only what it has not embedded yet."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from genrec.additions.embedding import LARGEST_DIFFERENCE, encoder_of, known_vectors
from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_folder, read_json
from genrec.data.catalogue import Catalogue
from genrec.data.embeddings import EmbeddingConfig, item_texts
from genrec.data.prepared import read_catalogue, write_catalogue
from genrec.earlier_run.run import EarlierRun
from genrec.errors import DataError
from genrec.progress import Bar

_ITEMS_AT_ONCE, _PROBES = 2048, 64


class NewerVectors(NamedTuple):
    """Vectors in row order, a part at a time, and what makes them."""

    parts: Iterator[Float32[ndarray, "_ embedding_dim"]]
    about: dict[str, Any]


def embed_newer(earlier: EarlierRun, catalogue: Catalogue, options: EmbeddingConfig, *, bar: Bar) -> NewerVectors:
    """Vectors of all items: new ones, and those whose texts are others today, are embedded.

    Raises:
        DataError: the encoder gives other vectors now than it gave then.
    """
    about = read_json(earlier.finished.folder.path / "embeddings.json")
    return NewerVectors(_parts(earlier, catalogue, options, bar), about)


def _parts(
    earlier: EarlierRun, catalogue: Catalogue, options: EmbeddingConfig, bar: Bar
) -> Iterator[Float32[ndarray, "_ embedding_dim"]]:
    known_texts, encoder = item_texts(earlier.catalogue(), options), None
    texts, places = item_texts(catalogue, options), earlier.rows_of(catalogue.item_ids)
    for start in range(0, len(texts), _ITEMS_AT_ONCE):
        rows, own = places[start : start + _ITEMS_AT_ONCE], texts[start : start + _ITEMS_AT_ONCE]
        is_same = np.array([row >= 0 and known_texts[row] == text for row, text in zip(rows, own, strict=True)])
        is_known = is_same & earlier.has_vectors(rows)
        known = earlier.vectors(rows[is_known])
        vectors = np.empty((len(rows), known.shape[1]), dtype=np.float32)
        vectors[is_known] = known
        if not is_known.all():
            encoder = encoder or encoder_of(earlier.finished)
            vectors[~is_known] = encoder.encode([own[at] for at in np.flatnonzero(~is_known)])
        yield vectors
        bar(start + len(rows), len(texts))


def check_same_encoder(
    earlier: EarlierRun, catalogue: Catalogue, vectors: Float32[ndarray, "items embedding_dim"], file: str
) -> None:
    """`DataError` if a file has other vectors for the known items than the earlier run, whose tokenizer reads these.

    Some may differ, for their texts may have changed.
    """
    width = known_vectors(earlier.finished).shape[1]
    if vectors.shape[1] != width:
        raise DataError(
            f"embeddings.file: {file} has vectors of width {vectors.shape[1]}, those of {earlier.finished.path} have "
            f"width {width}; embed the items by the same encoder"
        )
    places = earlier.rows_of(catalogue.item_ids)
    known = np.flatnonzero(earlier.has_vectors(places))
    probes = known[np.unique(np.linspace(0, max(len(known) - 1, 0), _PROBES).astype(np.int64))] if len(known) else known
    before, now = earlier.vectors(places[probes]), vectors[probes]
    differ = np.linalg.norm(now - before, axis=1) > LARGEST_DIFFERENCE * np.maximum(
        np.linalg.norm(before, axis=1), 1e-6
    )
    if 2 * differ.sum() > len(probes):
        raise DataError(
            f"embeddings.file: {file} has other vectors for the items that {earlier.finished.path} knows "
            f"({differ.sum()} of {len(probes)} probes differ); embed them by the same encoder, or start anew without "
            "earlier_run"
        )


def keep_encoder_fit(earlier: EarlierRun, folder: RunFolder) -> None:
    """Put the items that TF-IDF learned from into the newer run, so that it can do without the earlier one."""
    before = earlier.finished.folder.encoder_fit
    fit = read_catalogue(before) if before.exists() else earlier.finished.catalogue
    atomic_folder(folder.encoder_fit, lambda target: write_catalogue(fit, target))

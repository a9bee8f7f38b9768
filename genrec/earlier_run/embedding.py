"""Vectors of a newer catalogue by the encoder of the earlier run, which embeds only what it has not embedded yet."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from genrec.additions.embedding import encoder_of
from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_folder, read_json
from genrec.data.catalogue import Catalogue
from genrec.data.embeddings import EmbeddingConfig, item_texts
from genrec.data.prepared import read_catalogue, write_catalogue
from genrec.earlier_run.run import EarlierRun
from genrec.progress import Bar

_ITEMS_AT_ONCE = 2048


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
        is_known = np.array([row >= 0 and known_texts[row] == text for row, text in zip(rows, own, strict=True)])
        known = earlier.vectors(rows[is_known])
        vectors = np.empty((len(rows), known.shape[1]), dtype=np.float32)
        vectors[is_known] = known
        if not is_known.all():
            encoder = encoder or encoder_of(earlier.finished)
            vectors[~is_known] = encoder.encode([own[at] for at in np.flatnonzero(~is_known)])
        yield vectors
        bar(start + len(rows), len(texts))


def keep_encoder_fit(earlier: EarlierRun, folder: RunFolder) -> None:
    """Put the items that TF-IDF learned from into the newer run, so that it can do without the earlier one."""
    before = earlier.finished.folder.encoder_fit
    fit = read_catalogue(before) if before.exists() else earlier.finished.catalogue
    atomic_folder(folder.encoder_fit, lambda target: write_catalogue(fit, target))

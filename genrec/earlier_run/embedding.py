"""Vectors of a newer catalogue by the encoder of the earlier run, which embeds only what it has not embedded yet."""

import numpy as np

from genrec.additions.embedding import embedded_vectors
from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_folder, read_json
from genrec.data.catalogue import Catalogue
from genrec.data.embeddings import Embedded, EmbeddingConfig, item_texts
from genrec.data.prepared import read_catalogue, write_catalogue
from genrec.earlier_run.run import EarlierRun
from genrec.progress import Bar


def embed_newer(earlier: EarlierRun, catalogue: Catalogue, options: EmbeddingConfig, *, bar: Bar) -> Embedded:
    """Vectors of all items: new ones, and those whose texts are others today, are embedded.

    Raises:
        DataError: the encoder gives other vectors now than it gave then.
    """
    rows = earlier.rows_of(catalogue.item_ids)
    known_texts = np.array([*item_texts(earlier.catalogue(), options), ""], dtype=object)  # the last one for row -1
    is_known = (rows >= 0) & (known_texts[rows] == np.array(item_texts(catalogue, options), dtype=object))
    known = earlier.vectors(rows[is_known])
    vectors = np.empty((len(rows), known.shape[1]), dtype=np.float32)
    vectors[is_known] = known
    if not is_known.all():
        unknown = np.flatnonzero(~is_known)
        vectors[unknown] = embedded_vectors(earlier.finished, catalogue.take(unknown), bar=bar)
    return Embedded(vectors, read_json(earlier.finished.folder.path / "embeddings.json"))


def keep_encoder_fit(earlier: EarlierRun, folder: RunFolder) -> None:
    """Put the items that TF-IDF learned from into the newer run, so that it can do without the earlier one."""
    before = earlier.finished.folder.encoder_fit
    fit = read_catalogue(before) if before.exists() else earlier.finished.catalogue
    atomic_folder(folder.encoder_fit, lambda target: write_catalogue(fit, target))

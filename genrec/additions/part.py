"""Items that were added together, on disk as one folder: items.parquet  embeddings.npy  semantic_ids.npz."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from genrec.data.catalogue import Catalogue
from genrec.data.prepared import read_catalogue, write_catalogue
from genrec.data.vector_files import open_vectors
from genrec.errors import ArtifactError
from tokenizer import SemanticIDs

_EMBEDDINGS, _SEMANTIC_IDS = "embeddings.npy", "semantic_ids.npz"


@dataclass(frozen=True, eq=False)
class Part:
    """Added items in the order of their rows."""

    catalogue: Catalogue
    embeddings: Float32[ndarray, "items embedding_dim"] | None
    """None where codes came from a file or ask for no vectors."""
    semantic_ids: SemanticIDs
    """Of these items alone."""
    folder: str = ""
    """Its name on disk; none: it was not written yet."""

    @classmethod
    def joined(cls, parts: Sequence["Part"]) -> "Part":
        """The items of all of them, in this order, not written yet."""
        catalogue = reduce(Catalogue.with_items, (part.catalogue for part in parts))
        codes = np.concatenate([part.semantic_ids.codes for part in parts])
        table = SemanticIDs(codes, parts[0].semantic_ids.level_sizes, catalogue.item_ids)
        return cls(catalogue, joined_embeddings(parts), table)

    @classmethod
    def read(cls, folder: Path) -> "Part":
        """What `written` wrote. `ArtifactError` or `ValueError` if it is damaged or does not belong together."""
        vectors = folder / _EMBEDDINGS
        catalogue, table = read_catalogue(folder), SemanticIDs.load(folder / _SEMANTIC_IDS)
        embeddings = open_vectors(vectors) if vectors.exists() else None
        if table.item_ids is None or not np.array_equal(table.item_ids, catalogue.item_ids):
            raise ArtifactError(f"{folder / _SEMANTIC_IDS} has other items than items.parquet")
        if embeddings is not None and len(embeddings) != len(catalogue):
            raise ArtifactError(f"{vectors} has {len(embeddings)} vectors for {len(catalogue)} items")
        return cls(catalogue, embeddings, table, folder.name)

    def write(self, folder: Path) -> None:
        """Put the files into an empty folder."""
        write_catalogue(self.catalogue, folder)
        if self.embeddings is not None:
            np.save(folder / _EMBEDDINGS, self.embeddings, allow_pickle=False)
        self.semantic_ids.save(folder / _SEMANTIC_IDS)

    def lying_in(self, folder: Path) -> "Part":
        """The same part, with its vectors left on disk, where it was written."""
        vectors = None if self.embeddings is None else open_vectors(folder / _EMBEDDINGS)
        return replace(self, embeddings=vectors, folder=folder.name)

    def __len__(self) -> int:
        return len(self.catalogue)


def joined_embeddings(parts: Sequence[Part]) -> Float32[ndarray, "items embedding_dim"] | None:
    """The vectors of all parts; None unless each has some."""
    vectors = [part.embeddings for part in parts if part.embeddings is not None]
    if not parts or len(vectors) < len(parts):
        return None
    return vectors[0] if len(vectors) == 1 else np.concatenate(vectors)

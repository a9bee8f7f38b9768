"""Codes of new items: from the run's fitted tokenizer, which is not fitted again, or from a file."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from genrec.additions.embedding import known_vectors
from genrec.additions.finished_run import FinishedRun
from genrec.errors import ArtifactError, DataError
from genrec.tokenization.fitted import FittedTokenizer
from tokenizer import Drift, SemanticIDs, drift
from tokenizer.code_files import read_code_file
from tokenizer.last_level import LastLevelDistances, tokenizer_distances

_COMPARED_ITEMS = 100_000


class Coded(NamedTuple):
    """Codes as tokenizer or file give them, before they are brought among the others."""

    codes: Int[ndarray, "items levels"]
    distances: LastLevelDistances | None = None
    drift: Drift | None = None
    """How the items fare under the tokenizer; None without one, and for `sequential`, which reads nothing of them."""


def tokenizer_codes(
    run: FinishedRun, vectors: Float[ndarray, "items embedding_dim"] | None, *, first_row: int, num_items: int
) -> Coded:
    """Codes by the run's tokenizer, and drift. `ArtifactError` if it is missing or damaged.

    `vectors`: the content of the items in the rows from `first_row` on; None where the kind reads none.
    """
    fitted = fitted_tokenizer(run)
    new = fitted.inputs_of_later(vectors, first_row=first_row, num_items=num_items)
    old = None if vectors is None else fitted.as_if_later(_spread(known_vectors(run)))
    return codes_by(fitted, new)._replace(drift=None if old is None else drift(fitted.tokenizer, old, new))


def codes_by(fitted: FittedTokenizer, inputs: Float[ndarray, "items width"]) -> Coded:
    """Codes of what the tokenizer reads, without a look at how that compares with what it was fitted to."""
    codes = fitted.tokenizer.encode(inputs)
    return Coded(codes, tokenizer_distances(fitted.tokenizer, inputs, codes))


def _spread(vectors: Float[ndarray, "items embedding_dim"]) -> Float[ndarray, "some embedding_dim"]:
    """So many of the vectors as tell how the known items fare."""
    rows = np.unique(np.linspace(0, len(vectors) - 1, _COMPARED_ITEMS).astype(np.int64))
    return vectors[rows]


def fitted_tokenizer(run: FinishedRun) -> FittedTokenizer:
    """The run's tokenizer, and the map to what it reads. `ArtifactError` if it is missing or damaged."""
    kind, weight = run.made_by["kind"], run.made_by["collaborative_weight"]
    try:
        return FittedTokenizer.load(run.folder.tokenizer, kind=kind, collaborative_weight=weight)
    except ValueError as error:
        raise ArtifactError(f"{error}; make it with `genrec tokenize {run.path}`") from error


def file_codes(run: FinishedRun, path: Path, item_ids: ndarray) -> Coded:
    """Codes of these items out of a file like the one that the run's own came from; `DataError` if they do not fit."""
    try:
        codes = read_code_file(path, item_ids=item_ids).codes
    except ValueError as error:
        raise DataError(str(error)) from error
    if codes.shape[1] != run.num_levels:
        raise DataError(
            f"{path} has {codes.shape[1]} codes an item, but those of {run.path} were made of {run.num_levels}; "
            "give as many"
        )
    return Coded(codes)


def append_coded(table: SemanticIDs, coded: Coded, item_ids: ndarray, run: FinishedRun) -> SemanticIDs:
    """The run's table with these items behind the others; `DataError` if their codes do not fit to it."""
    try:
        return table.append(
            coded.codes, item_ids, collisions=run.made_by["collisions"], last_level_distances=coded.distances
        )
    except ValueError as error:
        raise DataError(f"the codes of the new items do not fit to those of {run.path}: {error}") from error

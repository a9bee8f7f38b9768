"""What an evaluation found for each case, kept in the run so that two runs can be compared user by user.

`case_ranks.npz` holds, with the cases in one order throughout:

    user_ids, target_ids      (cases,) text
    <protocol>/<method>       (2, cases) float32: first and last 0-based place that the target takes over all orders of
                              the items that tie with it, infinity: not found
    survived/<beam size>      (cases,) int8: how many of the target's codes were in the beam
    nll                       (cases, levels) float32: of each code given those before it, in nats

`<protocol>` is "test" or "test_history_filtered"; `<method>` "generator" (the run's default reading),
"generator_codes", or the name of a baseline. A trained baseline has a file of its own, in its folder, without the
generator's `survived` and `nll`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int, Shaped
from numpy import ndarray

from genrec.atomic_files import atomic_write
from genrec.data.interactions import Interactions
from genrec.data.splits import Cases
from genrec.errors import ArtifactError
from genrec.evaluation.metrics import Places

PROTOCOLS = ("test", "test_history_filtered")
CASE_FILE = "case_ranks.npz"


@dataclass(frozen=True)
class CaseFigures:
    """Of all test cases of a run."""

    user_ids: Shaped[ndarray, " cases"]
    target_ids: Shaped[ndarray, " cases"]
    places: Mapping[str, Mapping[str, Places]]
    """Protocol -> method."""
    survived: Mapping[int, Int[ndarray, " cases"]]
    """Width of beam -> levels."""
    nll: Float32[ndarray, "cases levels"]

    @classmethod
    def of(
        cls,
        interactions: Interactions,
        cases: Cases,
        places: Mapping[str, Mapping[str, Places]],
        *,
        survived: Mapping[int, Int[ndarray, " cases"]] | None = None,
        nll: Float32[ndarray, "cases levels"] | None = None,
    ) -> "CaseFigures":
        """With the names of users and targets; without a generator's figures if there are none."""
        users, targets = interactions.user_ids[cases.users], interactions.item_ids[interactions.items[cases.ends]]
        nll = np.empty((len(cases.ends), 0), dtype=np.float32) if nll is None else nll
        return cls(users, targets, places, survived or {}, nll)

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Put the file into a run folder."""
        arrays: dict[str, ndarray] = {
            "user_ids": self.user_ids.astype(str),
            "target_ids": self.target_ids.astype(str),
            "nll": self.nll,
        }
        for protocol, methods in self.places.items():
            for method, places in methods.items():
                arrays[f"{protocol}/{method}"] = np.stack(places).astype(np.float32)
        arrays |= {f"survived/{size}": levels.astype(np.int8) for size, levels in self.survived.items()}

        def save(path: Path) -> None:
            np.savez_compressed(path, **arrays)  # pyright: ignore[reportArgumentType]

        atomic_write(Path(folder) / CASE_FILE, save)

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "CaseFigures":
        """Those of a run folder; `ArtifactError` if it has none."""
        path = Path(folder) / CASE_FILE
        if not path.is_file():
            raise ArtifactError(f"{path} is missing; run: genrec evaluate {folder}")
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        places: dict[str, dict[str, Places]] = {protocol: {} for protocol in PROTOCOLS}
        survived = {}
        for name, array in arrays.items():
            kind, _, which = name.partition("/")
            if kind in places:
                places[kind][which] = Places(*array.astype(np.float64))
            elif kind == "survived":
                survived[int(which)] = array.astype(np.int64)
        return cls(arrays["user_ids"], arrays["target_ids"], places, survived, arrays["nll"])

"""Residual k-means on many vectors that lie on disk: seconds, items a second, memory besides the vectors.

`python -m benchmarks.tokenizer --scale ITEMS` makes the vectors and starts this module in a process of its own.
"""

import json
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from benchmarks.memory import AnonymousPeak, peak_resident_mb, reset_peak
from benchmarks.own_process import measure_in_own_process
from benchmarks.vectors import write_clustered
from tokenizer import ResidualKMeans, ResidualKMeansConfig, health

_ENCODINGS = 3


@dataclass(frozen=True)
class Scale:
    """What is measured."""

    num_items: int
    dim: int = 384
    num_clusters: int = 2000
    num_levels: int = 3
    codebook_size: int = 256
    for_reconstruction: bool = False
    """The config tuned for reconstruction instead of the default."""


def measure_scale(scale: Scale, folder: Path, *, threads: int) -> dict[str, Any]:
    """Figures of one fit and three encodings of made vectors, which are written into the folder."""
    path = folder / "vectors.npy"
    write_clustered(path, scale.num_items, dim=scale.dim, num_clusters=scale.num_clusters, seed=0)
    job = {"vectors": str(path), **asdict(scale)}
    return {**asdict(scale), **measure_in_own_process("benchmarks.tokenizer_scale", job, threads=threads)}


def main() -> None:
    """Measure what the job says; the figures go to stdout as one line of JSON."""
    print(json.dumps(measure(json.loads(sys.argv[1]))))


def measure(job: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds and memory; MB are 10^6 bytes.

    `peak_anonymous_mb` is the growth of what is no file's memory. `peak_resident_mb` has all that is in RAM: libraries,
    and those pages of the vectors' file that the system keeps mapped and takes back when it needs them.
    """
    vectors = np.load(job["vectors"], mmap_mode="r", allow_pickle=False)
    config = ResidualKMeansConfig.for_reconstruction() if job["for_reconstruction"] else ResidualKMeansConfig()
    reset_peak()
    with AnonymousPeak() as while_fitting:
        started = time.perf_counter()
        fitted = ResidualKMeans.fit(
            vectors, num_levels=job["num_levels"], codebook_size=job["codebook_size"], config=config
        )
        fit_seconds = time.perf_counter() - started
    codes, seconds = np.empty(0), []
    with AnonymousPeak() as while_encoding:
        for _ in range(_ENCODINGS):
            started = time.perf_counter()
            codes = fitted.encode(vectors)
            seconds.append(time.perf_counter() - started)
    peak_mb = max(while_fitting.peak_mb, while_encoding.peak_mb) - while_fitting.start_mb
    resident_mb = peak_resident_mb()
    found = health(codes, fitted.level_sizes)
    encode_seconds = statistics.median(seconds)
    return {
        "config": repr(config),
        "fit_seconds": fit_seconds,
        "encode_seconds": encode_seconds,
        "encode_seconds_all": seconds,
        "seconds": fit_seconds + encode_seconds,
        "items_per_second": len(vectors) / encode_seconds,
        "peak_anonymous_mb": peak_mb,
        "peak_anonymous_mb_fit": while_fitting.grown_mb,
        "peak_anonymous_mb_encode": while_encoding.peak_mb - while_fitting.start_mb,
        "peak_resident_mb": resident_mb,
        "vectors_mb": vectors.nbytes / 1e6,
        "usage": list(found.usage),
        "unique": found.unique_share,
        "error_of_a_sample": _error(fitted, vectors, codes),
    }


def _error(fitted: ResidualKMeans, vectors: Float32[ndarray, "items dim"], codes: ndarray) -> float | None:
    """Relative error of the first vectors, which are in random order."""
    sample = np.array(vectors[:50_000])
    decoded = fitted.decode(codes[: len(sample)])
    return health(codes[: len(sample)], fitted.level_sizes, embeddings=sample, reconstruction=decoded).relative_error


if __name__ == "__main__":
    main()

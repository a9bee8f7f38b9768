"""One tokenizer on one set of vectors, in this process: `python -m benchmarks.tokenizer_methods JOB` prints figures.

benchmarks.tokenizer starts it; JOB is JSON: vectors, method, setting, num_levels, codebook_size, seeds, train_seconds.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from benchmarks.coded import Coded, figures_of
from benchmarks.memory import peak_resident_mb, reset_peak, resident_mb
from tokenizer import RQVAE, ResidualKMeans, ResidualKMeansConfig, RQVAEConfig
from tokenizer.fsq import FSQ, FSQConfig
from tokenizer.opq import OPQ, OPQConfig

OWN = {
    "RQVAE": (RQVAE, RQVAEConfig.for_reconstruction()),
    "RQVAE (default)": (RQVAE, RQVAEConfig()),
    "ResidualKMeans": (ResidualKMeans, ResidualKMeansConfig.for_reconstruction()),
    "ResidualKMeans (default)": (ResidualKMeans, ResidualKMeansConfig()),
    "FSQ": (FSQ, FSQConfig()),
    "OPQ": (OPQ, OPQConfig()),
}
"""Name in the report -> class and config; a job's setting overrides fields of it."""
FAISS, RESIDUAL_VQ = "faiss.ResidualQuantizer", "ResidualVQ"


def main() -> None:
    """Measure what the job says; the figures go to stdout as one line of JSON."""
    print(json.dumps(measure(json.loads(sys.argv[1]))))


def measure(job: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of a run per seed; the largest growth of the resident memory in fit, encode and decode, in MB."""
    vectors = np.ascontiguousarray(np.load(job["vectors"], allow_pickle=False), dtype=np.float32)
    code = _coder(job)
    runs, grown = [], []
    for seed in job["seeds"]:
        reset_peak()
        before = resident_mb()
        coded = code(vectors, num_levels=job["num_levels"], codebook_size=job["codebook_size"], seed=seed)
        grown.append(peak_resident_mb() - before)
        runs.append(figures_of(coded, vectors))
    return {"runs": runs, "peak_mb": max(grown)}


def _coder(job: Mapping[str, Any]) -> Callable[..., Coded]:
    """The method with its setting. Its libraries are loaded here, where neither time nor memory is taken yet."""
    if job["method"] == FAISS:
        from benchmarks.peer_faiss import FaissSetting, code_by_faiss

        return partial(code_by_faiss, setting=FaissSetting(**job["setting"]))
    if job["method"] == RESIDUAL_VQ:
        from benchmarks.peer_residual_vq import ResidualVQSetting, code_by_residual_vq

        setting = ResidualVQSetting(**job["setting"])
        return partial(code_by_residual_vq, setting=setting, train_seconds=job["train_seconds"])
    owner, config = OWN[job["method"]]
    return partial(_code_by_own, owner=owner, config=replace(config, **job["setting"]))


def _code_by_own(vectors: Float32[ndarray, "items dim"], *, owner: Any, config: Any, **sizes: int) -> Coded:
    started = time.perf_counter()
    fitted = owner.fit(vectors, config=config, **sizes)
    after_fit = time.perf_counter()
    codes = fitted.encode(vectors)
    encoded = time.perf_counter()
    return Coded(codes, fitted.level_sizes, fitted.decode(codes), after_fit - started, encoded - after_fit)


if __name__ == "__main__":
    main()

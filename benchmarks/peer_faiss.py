"""faiss.ResidualQuantizer over a table of settings: residual codebooks with a beam search, on the centred vectors."""

import time
from dataclasses import dataclass
from itertools import product

import faiss
import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from benchmarks.coded import Coded

_REFINE, _PROGRESSIVE = faiss.ResidualQuantizer.Train_refine_codebook, faiss.ResidualQuantizer.Train_progressive_dim
_TOP_BEAM = faiss.ResidualQuantizer.Train_top_beam


@dataclass(frozen=True)
class FaissSetting:
    """One way to train and search a faiss.ResidualQuantizer."""

    train_beam: int = 5
    iterations: int = 10
    """Of k-means per level (`cp.niter`)."""
    train_type: int = _PROGRESSIVE
    """Bits: progressive dimensions (1), codebooks refined jointly (2), training on the best beam only (1024)."""
    encode_beam: int = 30
    refine_rounds: int = 5


FAISS_SETTINGS = (  # in this order, until a sweep's time is over
    *(FaissSetting(1, iterations, train_type, 1) for iterations in (10, 25, 50) for train_type in (0, _PROGRESSIVE)),
    *(FaissSetting(beam, 25, kind | _TOP_BEAM) for beam in (5, 10) for kind in (0, _REFINE, _PROGRESSIVE | _REFINE)),
    *(FaissSetting(beam, 25, _PROGRESSIVE | _REFINE, refine_rounds=20) for beam in (1, 5)),
    *(
        FaissSetting(beam, iterations, train_type, encode_beam=30)
        for beam, iterations, train_type in product(
            (1, 2, 5, 10, 20, 30), (10, 25, 50), (0, _PROGRESSIVE, _REFINE, _PROGRESSIVE | _REFINE)
        )
    ),
)


def code_by_faiss(
    vectors: Float32[ndarray, "items dim"], *, setting: FaissSetting, num_levels: int, codebook_size: int, seed: int
) -> Coded:
    """Codes by faiss.ResidualQuantizer; its codebooks have 2^bits codes, so the size must be a power of two."""
    num_bits = codebook_size.bit_length() - 1
    if codebook_size != 2**num_bits:
        raise ValueError(f"faiss.ResidualQuantizer takes powers of two, but codebook_size is {codebook_size}")
    started = time.perf_counter()
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    quantizer = faiss.ResidualQuantizer(vectors.shape[1], num_levels, num_bits)
    quantizer.train_type, quantizer.niter_codebook_refine = setting.train_type, setting.refine_rounds
    quantizer.cp.niter, quantizer.cp.seed = setting.iterations, seed
    quantizer.cp.min_points_per_centroid = 1  # only the limit for a warning on stderr
    quantizer.max_beam_size = setting.train_beam
    quantizer.train(centred)
    fitted = time.perf_counter()
    quantizer.max_beam_size = setting.encode_beam
    quantizer.use_beam_LUT = 1  # the same codes, several times faster
    packed = quantizer.compute_codes(centred)
    codes = faiss.unpack_bitstrings(packed, num_levels, num_bits).astype(np.int64)
    encoded = time.perf_counter()
    reconstruction = quantizer.decode(packed) + mean
    return Coded(codes, (codebook_size,) * num_levels, reconstruction, fitted - started, encoded - fitted)

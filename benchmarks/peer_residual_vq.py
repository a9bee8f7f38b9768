"""ResidualVQ of vector-quantize-pytorch over a table of settings.

It quantises the centred vectors themselves and has no encoder of its own; some settings add its linear projection into
fewer dimensions and back, trained by reconstruction.
"""

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor, nn
from vector_quantize_pytorch import ResidualVQ

from benchmarks.coded import Coded

_VECTORS_FOR_KMEANS = 65_536


@dataclass(frozen=True)
class ResidualVQSetting:
    """One way to train a ResidualVQ."""

    learnable: bool = False
    """Codebooks by gradients (AdamW, learning rate along a cosine to 0) instead of by moving averages."""
    kmeans_init: bool = True
    decay: float = 0.99
    dead_below: int = 0
    """`threshold_ema_dead_code`: codes with fewer items in the moving average are put onto items; 0: never."""
    batch_size: int = 2048
    learning_rate: float = 1e-3
    level_weight: float = 0.0
    """`commitment_weight`: of the error after each level, beside that of the reconstruction."""
    projection_dim: int | None = None
    """`codebook_dim`: the width between a linear projection and its way back, which start as principal axes; None: no
    projection."""
    rotation_trick: bool = False
    """How gradients pass the codes to the projection: Fifty et al. 2024, or straight through."""
    train_beam: int = 1
    encode_beam: int = 8


RESIDUAL_VQ_SETTINGS = (  # in this order, until a sweep's time is over
    # codebooks by gradients of the reconstruction, or of the error after each level
    ResidualVQSetting(learnable=True, learning_rate=1e-3),
    ResidualVQSetting(learnable=True, learning_rate=1e-2),
    ResidualVQSetting(learnable=True, learning_rate=3e-2),
    ResidualVQSetting(learnable=True, learning_rate=1e-1),
    ResidualVQSetting(learnable=True, learning_rate=1e-2, batch_size=512),
    ResidualVQSetting(learnable=True, learning_rate=1e-2, batch_size=_VECTORS_FOR_KMEANS),
    ResidualVQSetting(learnable=True, learning_rate=1e-2, level_weight=1.0),
    ResidualVQSetting(learnable=True, learning_rate=1e-2, level_weight=0.01, train_beam=4),
    ResidualVQSetting(learnable=True, learning_rate=1e-2, dead_below=2, kmeans_init=False, level_weight=1.0),
    # codebooks by moving averages
    ResidualVQSetting(),
    ResidualVQSetting(encode_beam=1),
    ResidualVQSetting(dead_below=2),
    ResidualVQSetting(decay=0.8, dead_below=2),
    ResidualVQSetting(decay=0.999),
    ResidualVQSetting(decay=0.8, batch_size=_VECTORS_FOR_KMEANS),
    ResidualVQSetting(train_beam=4, level_weight=0.01),
    ResidualVQSetting(kmeans_init=False, dead_below=2),
    ResidualVQSetting(kmeans_init=False, decay=0.8),
    # a linear projection before and after
    ResidualVQSetting(projection_dim=64, level_weight=0.25),
    ResidualVQSetting(projection_dim=64, level_weight=0.25, rotation_trick=True),
    ResidualVQSetting(projection_dim=64, level_weight=0.25, learnable=True),
    ResidualVQSetting(projection_dim=64, level_weight=0.25, learnable=True, rotation_trick=True),
    ResidualVQSetting(projection_dim=128, level_weight=0.25),
    ResidualVQSetting(projection_dim=128, level_weight=0.25, learnable=True, learning_rate=3e-3),
)


def code_by_residual_vq(
    vectors: Float32[ndarray, "items dim"],
    *,
    setting: ResidualVQSetting,
    num_levels: int,
    codebook_size: int,
    seed: int,
    train_seconds: float,
) -> Coded:
    """Codes by ResidualVQ after so many seconds of training; what it is given has mean 0 and mean square 1."""
    torch.manual_seed(seed)
    started = time.perf_counter()
    mean = vectors.mean(axis=0)
    scale = float(np.sqrt(np.square(vectors - mean).mean())) or 1.0  # learning rates then mean the same for any set
    items = torch.from_numpy((vectors - mean) / scale)
    quantizer = _residual_vq(items.shape[1], setting, num_levels, codebook_size)
    if isinstance(quantizer.project_in, nn.Linear) and isinstance(quantizer.project_out, nn.Linear):
        _start_at_principal_axes(quantizer.project_in, quantizer.project_out, items)
    _train(quantizer, items, setting, until=started + train_seconds)
    fitted = time.perf_counter()
    with torch.no_grad():
        parts = [quantizer(part[None], beam_size=setting.encode_beam) for part in items.split(1024)]
    codes = torch.cat([part[1][0] for part in parts]).numpy()
    encoded = time.perf_counter()
    reconstruction = torch.cat([part[0][0] for part in parts]).numpy() * scale + mean
    return Coded(codes, (codebook_size,) * num_levels, reconstruction, fitted - started, encoded - fitted)


def _residual_vq(dim: int, setting: ResidualVQSetting, num_levels: int, codebook_size: int) -> ResidualVQ:
    return ResidualVQ(
        dim=dim,
        num_quantizers=num_levels,
        codebook_size=codebook_size,
        codebook_dim=setting.projection_dim and min(setting.projection_dim, dim),
        kmeans_init=setting.kmeans_init,
        kmeans_iters=25,
        decay=setting.decay,
        threshold_ema_dead_code=setting.dead_below,
        learnable_codebook=setting.learnable,
        ema_update=not setting.learnable,
        rotation_trick=setting.rotation_trick,
        commitment_weight=setting.level_weight,
        # a beam is ranked by the sum over levels of weight * error; what counts is the error after the newest level
        beam_score_quantizer_weights=[100.0**level for level in range(num_levels)],
    )


@torch.no_grad()
def _start_at_principal_axes(project_in: nn.Linear, project_out: nn.Linear, items: Float[Tensor, "items dim"]) -> None:
    _, axes = torch.linalg.eigh(items.T @ items)
    strongest = axes[:, -project_in.out_features :].T
    project_in.weight.copy_(strongest)
    project_out.weight.copy_(strongest.T)
    nn.init.zeros_(project_in.bias)
    nn.init.zeros_(project_out.bias)


def _train(
    quantizer: ResidualVQ, items: Float[Tensor, "items dim"], setting: ResidualVQSetting, *, until: float
) -> None:
    started = time.perf_counter()
    quantizer.train()
    with torch.no_grad():
        quantizer(items[torch.randperm(len(items))[:_VECTORS_FOR_KMEANS]][None])  # k-means takes the first batch
    parameters = list(quantizer.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=setting.learning_rate, weight_decay=0.0) if parameters else None
    with torch.set_grad_enabled(optimizer is not None):
        while (now := time.perf_counter()) < until:
            batch = items
            if setting.batch_size < len(items):
                batch = items[torch.randint(len(items), (setting.batch_size,))]
            quantized, _, losses = quantizer(batch[None], beam_size=setting.train_beam)
            if optimizer is not None:
                for group in optimizer.param_groups:
                    done = (now - started) / (until - started)
                    group["lr"] = setting.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
                (nn.functional.mse_loss(quantized[0], batch) + losses.sum()).backward()
                optimizer.step()
                optimizer.zero_grad()
    quantizer.eval()

"""The last part of an RQ-VAE's training: codebooks fitted to the finished encoder, then a decoder fitted to the codes.

While everything learns at once, codebooks trail behind the latents, and codes that fall out of use are moved to
outliers. Once the encoder stands still, k-means finds better codebooks for its latents within seconds, and the decoder
learns from codes that do not change any more.
"""

from collections.abc import Callable

import numpy as np
import torch
from accelerate.utils import broadcast
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from tokenizer.joint_codebooks import refined_codebooks
from tokenizer.losses import reconstruction_loss
from tokenizer.network import RQVAEConfig, RQVAENetwork
from tokenizer.residual_levels import Level, ResidualLevels, fit_levels
from tokenizer.training import Schedule, full_precision_accelerator, parameter_groups, scheduled_batches


def level_axes(config: RQVAEConfig, num_levels: int) -> list[int | None]:
    """Number of axes of each level after the training; None: all."""
    if not config.settling_epochs:
        return [None] * num_levels
    return [config.level_axes[min(level, len(config.level_axes) - 1)] for level in range(num_levels)]


def learned_levels(network: RQVAENetwork) -> ResidualLevels:
    """The codebooks as the training left them."""
    codebooks = network.codebooks.detach().cpu().numpy()
    return ResidualLevels(tuple(Level(None, codebook, codebook) for codebook in codebooks))


def settled_levels(
    network: RQVAENetwork, latents: Float[ndarray, "items latent"], config: RQVAEConfig, *, seed: int
) -> ResidualLevels:
    """Codebooks by residual k-means on the latents, the same on every process."""
    num_levels, codebook_size, _ = network.codebooks.shape
    axes = level_axes(config, num_levels)
    fitted = fit_levels(latents, axes, codebook_size, seed=seed, iterations=config.kmeans_iterations)
    if config.refinement_rounds:
        fitted = refined_codebooks(latents, fitted, rounds=config.refinement_rounds, beam_size=config.beam_size)
    return ResidualLevels(tuple(_from_main_process(level) for level in fitted.levels))


def train_decoder(
    network: RQVAENetwork,
    summed: Float[ndarray, "items latent"],
    prepared: Float[ndarray, "items dim"],
    config: RQVAEConfig,
    *,
    seed: int,
    progress: Callable[[int], None],
) -> RQVAENetwork:
    """The network (on the CPU) with a decoder that reconstructs from the codes' vectors; `progress(epochs done)`.

    Every process does the same: without the encoder and the search for codes there is little to share.
    """
    with full_precision_accelerator() as accelerator, torch.random.fork_rng():
        torch.manual_seed(seed)
        network = network.to(accelerator.device)
        vectors, targets = (torch.from_numpy(part).to(accelerator.device) for part in (summed, prepared))
        decoder = network.decoder.train()
        optimizer = torch.optim.AdamW(
            parameter_groups(decoder, weight_decay=config.weight_decay), lr=config.learning_rate
        )
        schedule = Schedule(config.settling_epochs, config.batch_size, config.learning_rate)
        for epoch in range(config.settling_epochs):
            for rows, learning_rate in scheduled_batches(len(vectors), schedule, seed=seed + 1, epoch=epoch):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate
                loss = reconstruction_loss(decoder(vectors[rows]), targets[rows]).mean()
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
            progress(epoch + 1)
        return network.cpu().eval()


def _from_main_process(level: Level) -> Level:
    """k-means may round differently on another machine."""
    with full_precision_accelerator() as accelerator:

        def shared(part: ndarray) -> ndarray:
            sent = broadcast(torch.from_numpy(np.ascontiguousarray(part)).to(accelerator.device))
            assert isinstance(sent, Tensor)
            return sent.cpu().numpy()

        axes = None if level.axes is None else shared(level.axes)
        return Level(axes, shared(level.landmarks), shared(level.centroids))

"""Fit an RQ-VAE's network, with accelerate: one process or many, the same seeded batches."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, is_initialized
from accelerate.utils import AutocastKwargs, broadcast
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor, nn

from tokenizer.code_averages import CodeAverages
from tokenizer.kmeans import kmeans_codebook, move_unused_codes, residual_codebooks
from tokenizer.losses import codebook_loss, commitment_loss, reconstruction_loss
from tokenizer.network import RQVAEConfig, RQVAENetwork
from tokenizer.quantizer import Quantized


def train_network(
    network: RQVAENetwork,
    prepared: Float[ndarray, "items dim"],
    config: RQVAEConfig,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> RQVAENetwork:
    """The network (on the CPU) with the weights of the last epoch; `progress(epochs done, epochs)` after each.

    Every process holds all items and takes its share of each batch. The same seed, machine and number of processes
    give the same weights.

    Raises:
        ValueError: the loss is not finite any more.
    """
    with full_precision_accelerator() as accelerator, torch.random.fork_rng():
        items = torch.from_numpy(prepared).to(accelerator.device)
        sample = seeded_sample(items, config.sample_items, seed=seed)
        network = network.to(accelerator.device)
        optimizer = torch.optim.AdamW(
            parameter_groups(network, weight_decay=config.weight_decay), lr=config.learning_rate
        )
        model, optimizer = accelerator.prepare(network, optimizer)
        schedule = Schedule(config.learning_epochs, config.batch_size, config.learning_rate)
        averages = CodeAverages(network.codebooks, config.ema_decay) if config.codebook_update == "ema" else None
        torch.manual_seed(seed + 1 + accelerator.process_index)  # each process drops units of its own
        for epoch in range(config.learning_epochs):
            if epoch == config.warmup_epochs:
                start_codebooks(network, sample, config, seed=seed)
                if averages:
                    averages.restart()
            model.train()
            for rows, learning_rate in scheduled_batches(len(items), schedule, seed=seed, epoch=epoch):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate
                with accelerator.accumulate(model):  # of one batch: undoes what an earlier training may have left set
                    mine = items[rows[accelerator.process_index :: accelerator.num_processes]]
                    losses, quantized = batch_losses(model, mine, config, epoch=epoch)
                    # gradients are averaged over processes, whose shares may differ by one item
                    loss = losses.sum() * accelerator.num_processes / len(rows)
                    _refuse_infinite(loss, epoch, config)
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
                if averages and epoch >= config.warmup_epochs:
                    averages.update(quantized, accelerator)
            if resets_after(epoch, config):
                reset_unused_codes(network, sample, optimizer.optimizer)
                if averages:
                    averages.restart()
            if progress:
                progress(epoch + 1, config.learning_epochs)
        return accelerator.unwrap_model(model, keep_fp32_wrapper=False).cpu().eval()


def batch_losses(
    model: nn.Module, prepared: Float[Tensor, "items dim"], config: RQVAEConfig, *, epoch: int
) -> tuple[Float[Tensor, " items"], Quantized]:
    """Reconstruction, codebook and weighted commitment of each item, added; in the warm-up no commitment.

    Moving averages take the place of the codebook loss where the config says so.
    """
    warming_up = epoch < config.warmup_epochs
    coded = model(prepared, decode_latents=warming_up)
    residuals, chosen = coded.quantized.residuals, coded.quantized.chosen
    losses = reconstruction_loss(coded.decoded, prepared)
    if config.codebook_update == "gradient":
        losses = losses + codebook_loss(
            residuals, chosen
        )  # in the warm-up too: DDP wants a gradient for each parameter
    if not warming_up:
        losses = losses + config.commitment_weight * commitment_loss(residuals, chosen)
    return losses, coded.quantized


def resets_after(epoch: int, config: RQVAEConfig) -> bool:
    """Whether unused codes are moved after this epoch: now and then, and once more when all is trained."""
    if epoch + 1 == config.learning_epochs:
        return True
    in_time = config.warmup_epochs <= epoch < config.reset_until_epoch
    return in_time and (epoch + 1) % config.reset_every_epochs == 0


class Schedule(NamedTuple):
    """How long a training is, in what steps."""

    epochs: int
    batch_size: int
    """Items per optimiser step, over all processes."""
    learning_rate: float
    """At the start; it falls to 0 along a cosine."""


def scheduled_batches(
    num_items: int, schedule: Schedule, *, seed: int, epoch: int
) -> Iterator[tuple[Int[Tensor, " batch"], float]]:
    """Every row once, in batches of nearly equal size, each with its learning rate; a function of seed and epoch."""
    num_batches = math.ceil(num_items / schedule.batch_size)
    shuffled = np.random.default_rng((seed, epoch)).permutation(num_items)
    for place, rows in enumerate(np.array_split(shuffled, num_batches)):
        done = (epoch + place / num_batches) / schedule.epochs
        yield torch.from_numpy(rows), schedule.learning_rate * cosine_decay(done)


def cosine_decay(done: float) -> float:
    """Factor of the learning rate when this share of the training is done: from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * done))


def parameter_groups(network: nn.Module, *, weight_decay: float) -> list[dict]:
    """Weight decay for the layers' matrices only: codebooks and linear paths have a place to be in, not the origin."""
    named = [(name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad]
    decayed = [p for name, p in named if p.ndim == 2 and "linear" not in name]
    kept = [p for name, p in named if p.ndim != 2 or "linear" in name]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]


def seeded_sample(items: Float[Tensor, "items dim"], max_items: int, *, seed: int) -> Float[Tensor, "sample dim"]:
    """All items, or a seeded choice of `max_items`."""
    if len(items) <= max_items:
        return items
    return items[torch.from_numpy(np.random.default_rng(seed).choice(len(items), max_items, replace=False))]


@torch.no_grad()
def start_codebooks(
    network: RQVAENetwork, sample: Float[Tensor, "items dim"], config: RQVAEConfig, *, seed: int
) -> None:
    """Set the codebooks by residual k-means on the latents of the encoder as it is."""
    num_levels, codebook_size, _ = network.codebooks.shape

    def one_codebook(residuals: ndarray, level: int) -> ndarray:
        return kmeans_codebook(residuals, codebook_size, seed=seed + level, iterations=config.kmeans_iterations)

    codebooks = residual_codebooks(_latents(network, sample), num_levels, one_codebook)
    _set_codebooks(network, codebooks)


@torch.no_grad()
def reset_unused_codes(
    network: RQVAENetwork, sample: Float[Tensor, "items dim"], optimizer: torch.optim.Optimizer
) -> None:
    """Move codes that no item of the sample uses onto badly served residuals, and forget their momentum."""
    before = network.codebooks.detach().cpu().numpy().copy()
    codebooks = residual_codebooks(
        _latents(network, sample), len(before), lambda residuals, level: move_unused_codes(before[level], residuals)
    )
    _set_codebooks(network, codebooks)
    moved = torch.from_numpy((codebooks != before).any(axis=2)).to(network.codebooks.device)
    for moments in optimizer.state.get(network.codebooks, {}).values():
        if moments.shape == network.codebooks.shape:
            moments[moved] = 0


@contextmanager
def full_precision_accelerator() -> Iterator[Accelerator]:
    """An accelerator that computes in float32 and leaves the program free to choose another precision afterwards."""
    was_initialized = is_initialized()
    try:
        yield Accelerator(
            cpu=not torch.accelerator.is_available(),  # else accelerate takes torchrun's CPU processes for one each
            gradient_accumulation_steps=1,
            kwargs_handlers=[AutocastKwargs(enabled=False)],
        )
    finally:
        if not was_initialized:
            # else a later Accelerator(mixed_precision="bf16") would be refused
            AcceleratorState._reset_state()


def _latents(network: RQVAENetwork, sample: Float[Tensor, "items dim"]) -> Float[ndarray, "items latent"]:
    network.eval()
    return network.encoder(sample).cpu().numpy()


def _set_codebooks(network: RQVAENetwork, codebooks: Float[ndarray, "levels codes latent"]) -> None:
    network.codebooks.copy_(torch.from_numpy(codebooks))
    broadcast(network.codebooks.data)  # k-means may round differently on another machine


def _refuse_infinite(loss: Float[Tensor, ""], epoch: int, config: RQVAEConfig) -> None:
    if not torch.isfinite(loss):
        raise ValueError(
            f"the RQ-VAE's loss is {loss.item()} in epoch {epoch + 1} of {config.learning_epochs}; "
            f"lower learning_rate (now {config.learning_rate:g})"
        )

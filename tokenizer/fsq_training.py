"""Fit the network of finite scalar quantisation by reconstruction, with accelerate."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from tokenizer.fsq_network import FSQConfig, FSQNetwork
from tokenizer.losses import reconstruction_loss
from tokenizer.training import Schedule, full_precision_accelerator, parameter_groups, scheduled_batches


def train_fsq(
    network: FSQNetwork,
    prepared: Float[ndarray, "items dim"],
    config: FSQConfig,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> FSQNetwork:
    """The network (on the CPU) with the weights of the last epoch; `progress(epochs done, epochs)` after each.

    Every process holds all items and takes its share of each batch. The same seed, machine and number of processes
    give the same weights.

    Raises:
        ValueError: the loss is not finite any more.
    """
    schedule = Schedule(config.epochs, config.batch_size, config.learning_rate)
    with full_precision_accelerator() as accelerator, torch.random.fork_rng():
        items = torch.from_numpy(prepared).to(accelerator.device)
        network = network.to(accelerator.device)
        optimizer = torch.optim.AdamW(
            parameter_groups(network, weight_decay=config.weight_decay), lr=config.learning_rate
        )
        model, optimizer = accelerator.prepare(network, optimizer)
        torch.manual_seed(seed + 1 + accelerator.process_index)  # each process drops units of its own
        model.train()
        for epoch in range(config.epochs):
            for rows, learning_rate in scheduled_batches(len(items), schedule, seed=seed, epoch=epoch):
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate
                with accelerator.accumulate(model):  # of one batch: undoes what an earlier training may have left set
                    mine = items[rows[accelerator.process_index :: accelerator.num_processes]]
                    losses = reconstruction_loss(model(mine), mine)
                    # gradients are averaged over processes, whose shares may differ by one item
                    loss = losses.sum() * accelerator.num_processes / len(rows)
                    _refuse_infinite(loss, epoch, config)
                    accelerator.backward(loss)
                    optimizer.step()
                    optimizer.zero_grad()
            if progress:
                progress(epoch + 1, config.epochs)
        return accelerator.unwrap_model(model, keep_fp32_wrapper=False).cpu().eval()


def _refuse_infinite(loss: Float[Tensor, ""], epoch: int, config: FSQConfig) -> None:
    if not torch.isfinite(loss):
        raise ValueError(
            f"the reconstruction loss is {loss.item()} in epoch {epoch + 1} of {config.epochs}; "
            f"lower learning_rate (now {config.learning_rate:g})"
        )

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from forked import forked_together

from tokenizer import RQVAE
from tokenizer.network import RQVAEConfig, RQVAENetwork
from tokenizer.training import (
    Schedule,
    parameter_groups,
    reset_unused_codes,
    resets_after,
    scheduled_batches,
    train_network,
)


def small_network(dim=6, **config):
    torch.manual_seed(0)
    return RQVAENetwork(dim, num_levels=2, codebook_size=4, config=RQVAEConfig(**config))


def items(num_items=64, dim=6):
    return np.random.default_rng(0).normal(size=(num_items, dim)).astype(np.float32)


@pytest.mark.parametrize(
    ("embedding_dim", "sizes"),
    [(768, (768, 512, 256, 128, 64, 32)), (100, (100, 64, 32)), (32, (32, 64, 32)), (16, (16, 32, 16))],
)
def test_widths_halve_from_the_embedding_to_the_latent(embedding_dim, sizes):
    assert RQVAEConfig().layer_sizes(embedding_dim) == sizes
    assert RQVAEConfig(latent_dim=128).layer_sizes(384) == (384, 256, 128)
    assert RQVAEConfig(latent_dim=8, hidden_sizes=()).layer_sizes(384) == (384, 8)


def test_an_epoch_has_every_row_once_in_even_batches_and_the_next_another_order():
    def batches(epoch):
        scheduled = scheduled_batches(10, Schedule(3, 4, 1e-3), seed=0, epoch=epoch)
        return [rows.tolist() for rows, _ in scheduled]

    first = batches(0)
    assert [len(batch) for batch in first] == [4, 3, 3]
    assert sorted(row for batch in first for row in batch) == list(range(10))
    assert first == batches(0) != batches(1)


def test_the_learning_rate_falls_from_one_over_a_half_to_zero():
    schedule = Schedule(epochs=2, batch_size=5, learning_rate=8.0)
    rates = [rate for epoch in (0, 1) for _, rate in scheduled_batches(10, schedule, seed=0, epoch=epoch)]
    assert rates == pytest.approx([8, 4 + 8**0.5, 4, 4 - 8**0.5])


def test_unused_codes_are_moved_now_and_then_and_after_the_last_epoch():
    config = RQVAEConfig(epochs=100, warmup_share=0.15, settling_share=0.0, reset_until_epoch=50)
    assert [epoch + 1 for epoch in range(100) if resets_after(epoch, config)] == [20, 30, 40, 50, 100]


def test_only_matrices_of_layers_decay():
    network = small_network(codebook_update="gradient")
    decayed, kept = parameter_groups(network, weight_decay=0.3)
    assert decayed["weight_decay"] == 0.3 and kept["weight_decay"] == 0
    assert all(parameter.ndim == 2 for parameter in decayed["params"])
    linear = [network.encoder.linear.weight, network.decoder.linear.weight]
    assert all(any(parameter is path for parameter in kept["params"]) for path in linear)
    assert len(decayed["params"]) + len(kept["params"]) == len(list(network.parameters()))


def test_averaged_codebooks_are_no_matter_of_the_optimizer():
    network = small_network(codebook_update="ema")
    groups = parameter_groups(network, weight_decay=0.3)
    assert not any(parameter is network.codebooks for group in groups for parameter in group["params"])


def test_an_untrained_network_with_linear_paths_is_a_projection_and_back():
    network = small_network(dim=6)
    network.start_at(torch.eye(6)[:, :6])
    assert torch.allclose(network.decoder(network.encoder(torch.from_numpy(items()))), torch.from_numpy(items()))


def test_an_unused_code_comes_back_into_use_without_its_momentum():
    network = small_network(codebook_update="gradient")
    sample = torch.from_numpy(items())
    optimizer = torch.optim.AdamW(network.parameters())
    with torch.no_grad():
        network.codebooks.normal_(generator=torch.Generator().manual_seed(0)).mul_(0.1)
        network.codebooks[0, 2] = 1e3
    network(sample).quantized.chosen.sum().backward()
    optimizer.step()
    moments = optimizer.state[network.codebooks]["exp_avg"]
    moments.fill_(1.0)
    reset_unused_codes(network, sample, optimizer)
    assert 2 in network(sample).quantized.codes[:, 0]
    assert moments[0, 2].tolist() == [0.0] * moments.shape[2]
    assert len(network(sample).quantized.codes[:, 0].unique()) == 4


def test_a_training_that_diverges_is_refused_with_a_remedy():
    config = RQVAEConfig(epochs=3, learning_rate=1e30, warmup_share=0.0)
    with pytest.raises(ValueError, match=r"loss is (nan|inf) in epoch \d of 2; lower learning_rate"):
        train_network(small_network(), items(), config, seed=0)


def test_a_later_accelerator_may_choose_another_precision():
    AcceleratorState._reset_state()
    train_network(small_network(), items(), RQVAEConfig(epochs=1), seed=0)
    try:
        assert Accelerator(mixed_precision="bf16").mixed_precision == "bf16"
        inside = train_network(small_network(), items(), RQVAEConfig(epochs=1), seed=0)
        assert AcceleratorState().mixed_precision == "bf16"
    finally:
        AcceleratorState._reset_state()
    alone = train_network(small_network(), items(), RQVAEConfig(epochs=1), seed=0)
    assert torch.equal(inside.codebooks, alone.codebooks)


@pytest.mark.parametrize(
    "setting",
    [{"epochs": 0}, {"dropout": 1.0}, {"learning_rate": 0.0}, {"latent_dim": 0}, {"hidden_sizes": (8, 0)}],
)
def test_an_impossible_setting_is_refused_by_name(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        RQVAEConfig(**setting)


TWO_PROCESSES = """
import os, numpy as np, torch
from tokenizer import RQVAE, RQVAEConfig
config = RQVAEConfig(epochs=12, batch_size=16, dropout=0.0, reset_every_epochs=4)
fitted = RQVAE.fit(np.load("items.npy"), num_levels=2, codebook_size=4, config=config)
fitted.save_pretrained(os.environ["RANK"])
"""


def test_two_processes_end_with_one_and_the_same_model_close_to_that_of_one_process(tmp_path):
    np.save(tmp_path / "items.npy", items(65))
    forked_together(TWO_PROCESSES, folder=tmp_path, num_processes=2)

    config = RQVAEConfig(epochs=12, batch_size=16, dropout=0.0, reset_every_epochs=4)
    alone = RQVAE.fit(items(65), num_levels=2, codebook_size=4, config=config).network.codebooks
    zero, one = (RQVAE.from_pretrained(tmp_path / rank).network.codebooks for rank in "01")
    assert torch.equal(zero, one)
    assert torch.allclose(zero, alone, atol=1e-3)

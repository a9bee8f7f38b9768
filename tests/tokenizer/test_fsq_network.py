import itertools
import math

import numpy as np
import pytest
import torch
from vector_quantize_pytorch import FSQ as PeerFSQ

from tokenizer.fsq_network import FSQConfig, FSQNetwork, best_scalars, start_on_principal_axes
from tokenizer.fsq_training import train_fsq


def items(num_items=400, dim=12):
    """Normal items of a few strong directions."""
    random = np.random.default_rng(0)
    mix = random.normal(size=(dim, dim)) * np.geomspace(4, 0.1, dim)[:, None]
    return (random.normal(size=(num_items, dim)) @ mix + 5).astype(np.float32)


SMALL = FSQConfig(hidden_sizes=(16,))


def small_network(num_levels=2, scalars=(5, 4), dim=12, config=SMALL):
    torch.manual_seed(0)
    return FSQNetwork(dim, num_levels=num_levels, scalars=scalars, config=config)


@pytest.mark.parametrize(
    ("codebook_size", "scalars"),
    [(2, (2,)), (5, (5,)), (16, (4, 4)), (17, (4, 4)), (13, (4, 3)), (64, (8, 8)), (256, (8, 8, 4)), (4096, (8,) * 4)],
)
def test_scalars_multiply_to_the_largest_product_within_the_codebook_size(codebook_size, scalars):
    assert best_scalars(codebook_size) == scalars


def test_no_choice_of_scalars_comes_closer():
    choices = (itertools.product((2, 3, 5, 7), repeat=count) for count in range(1, 8))
    products = {math.prod(sizes) for sizes in itertools.chain(*choices)}
    for codebook_size in range(2, 130):
        assert math.prod(best_scalars(codebook_size)) == max(size for size in products if size <= codebook_size)


def test_digits_are_the_nearest_of_evenly_spread_values_and_codes_count_them():
    network = small_network()
    bounded = torch.rand(50, 4, generator=torch.Generator().manual_seed(0)) * 2 - 1
    codes = network.codes(bounded)
    for row, latents in enumerate(bounded.tolist()):
        for level in range(2):
            grids = [np.linspace(-1, 1, 5), np.linspace(-1, 1, 4)]
            digits = [int(np.abs(grid - latents[2 * level + place]).argmin()) for place, grid in enumerate(grids)]
            assert codes[row, level] == digits[0] + 5 * digits[1]


def test_rounding_is_that_of_another_implementation():
    """lucidrains' FSQ of odd sizes, where neither shifts: the same digits of the same latents."""
    latents = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    peer = PeerFSQ(levels=[5, 7])
    halves = torch.tensor([2, 3])
    theirs = (peer.bound(latents) * halves).round().long() + halves
    ours = small_network(num_levels=1, scalars=(5, 7)).digits(torch.tanh(latents))
    assert torch.equal(ours, theirs)


def test_every_code_stands_for_values_that_have_this_code():
    network = small_network(num_levels=2, scalars=(5, 4, 2))
    codes = torch.arange(40)[:, None].expand(-1, 2)
    values = network.values_of_codes(codes)
    assert values.abs().max() == 1
    assert torch.equal(network.codes(values), codes)


def test_gradients_pass_the_rounding_unchanged():
    network = small_network().double()
    prepared = torch.from_numpy(items(5).astype(np.float64))
    network(prepared).sum().backward()
    through_rounding = network.encoder.linear.bias.grad
    network.encoder.linear.bias.grad = None
    bounded = network.bounded(prepared)
    wanted = (network.decoder.linear.weight.detach().sum(dim=0) * (1 - bounded.square())).sum(dim=0)
    assert torch.allclose(through_rounding, wanted)


def test_the_untrained_network_already_is_a_quantiser_that_uses_its_grid():
    network = small_network()
    prepared = items(2000).astype(np.float64)
    start_on_principal_axes(network, prepared, seed=0)
    network = network.double().eval()
    with torch.no_grad():
        bounded = network.bounded(torch.from_numpy(prepared))
        decoded = network.decoder(network.values_of_codes(network.codes(bounded))).numpy()
    for size, digits in zip((5, 4, 5, 4), network.digits(bounded).numpy().T, strict=True):
        assert (np.bincount(digits, minlength=size) / 2000).min() > 0.6 / size
    centred = prepared - prepared.mean(axis=0)
    variances = np.linalg.eigvalsh(centred.T @ centred)[::-1]
    lost = variances[4:].sum() / variances.sum()  # what four axes cannot keep
    assert lost < np.square(decoded - prepared).sum() / variances.sum() < lost + 0.2


def test_training_lowers_the_error_of_the_start():
    prepared = items().astype(np.float64) / 5
    errors = []
    for epochs in (1, 60):
        config = FSQConfig(epochs=epochs, batch_size=50, dropout=0.0, hidden_sizes=(32,), learning_rate=5e-3)
        network = small_network(config=config)
        start_on_principal_axes(network, prepared, seed=0)
        network = train_fsq(network, prepared.astype(np.float32), config, seed=0)
        with torch.no_grad():
            errors.append(np.square(network(torch.from_numpy(prepared).float()).numpy() - prepared).mean())
    assert errors[1] < 0.9 * errors[0]

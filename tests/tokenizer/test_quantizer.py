import numpy as np
import pytest
import torch

from tokenizer.quantizer import distances_to_codes, nearest_codes, quantize, rotated, straight_through
from tokenizer.residual_levels import sum_of_codes


def plain_codes(vectors, codebooks):
    """Residual quantisation as a double loop over items and codes."""
    table = []
    for vector in vectors.tolist():
        codes = []
        for codebook in codebooks.tolist():
            distances = [sum((x - c) ** 2 for x, c in zip(vector, code, strict=True)) for code in codebook]
            best = distances.index(min(distances))
            codes.append(best)
            vector = [x - c for x, c in zip(vector, codebook[best], strict=True)]
        table.append(codes)
    return table


def test_codes_are_those_of_a_double_loop():
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(60, 5, generator=generator)
    codebooks = torch.randn(3, 7, 5, generator=generator)
    assert quantize(vectors, codebooks).codes.tolist() == plain_codes(vectors, codebooks)


def test_ties_go_to_the_lowest_code():
    codebook = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert nearest_codes(torch.tensor([[1.0, 0.0], [0.5, 0.5]]), codebook).tolist() == [0, 0]


def test_residuals_and_chosen_vectors_add_up_to_the_input():
    codebooks = torch.tensor([[[4.0], [10.0]], [[-1.0], [1.0]]])
    quantized = quantize(torch.tensor([[4.5], [9.0]]), codebooks)
    assert quantized.codes.tolist() == [[0, 1], [1, 0]]
    assert quantized.residuals.squeeze(2).tolist() == [[4.5, 9.0], [0.5, -1.0]]
    assert quantized.chosen.squeeze(2).tolist() == [[4.0, 10.0], [1.0, -1.0]]


def test_the_sum_of_codes_is_the_sum_of_the_chosen_vectors():
    generator = torch.Generator().manual_seed(1)
    codebooks = torch.randn(3, 4, 2, generator=generator)
    quantized = quantize(torch.randn(9, 2, generator=generator), codebooks)
    summed = sum_of_codes(quantized.codes.numpy(), list(codebooks.numpy()))
    assert np.allclose(summed, quantized.chosen.sum(dim=0).numpy())


def test_gradients_pass_straight_through_to_the_vectors():
    vectors = torch.tensor([[4.5], [9.0]], requires_grad=True)
    codebooks = torch.tensor([[[4.0], [10.0]]], requires_grad=True)
    passed = straight_through(vectors, quantize(vectors, codebooks))
    assert passed.tolist() == [[4.0], [10.0]]
    (passed * torch.tensor([[3.0], [5.0]])).sum().backward()
    assert vectors.grad is not None and vectors.grad.tolist() == [[3.0], [5.0]]
    assert codebooks.grad is None or not codebooks.grad.any()


def test_rotated_vectors_are_the_quantised_ones_and_pass_gradients_turned_with_them():
    # e = (1, 0) becomes q = (0, 2): a quarter turn and twice the length, so a gradient (a, b) comes back as 2 (b, -a)
    vectors = torch.tensor([[1.0, 0.0]], requires_grad=True)
    codebooks = torch.tensor([[[0.0, 2.0]]])
    out = rotated(vectors, quantize(vectors, codebooks))
    assert torch.allclose(out, torch.tensor([[0.0, 2.0]]), atol=1e-6)
    out.backward(torch.tensor([[3.0, 5.0]]))
    assert torch.allclose(vectors.grad, torch.tensor([[10.0, -6.0]]), atol=1e-5)


def test_by_angle_length_does_not_matter():
    codebook = torch.tensor([[10.0, 0.0], [0.1, 0.1]])
    residuals = torch.tensor([[0.2, 0.19]])
    assert nearest_codes(residuals, codebook, distance="cosine").tolist() == [1]
    assert distances_to_codes(residuals, codebook, distance="cosine")[0, 1] < 1e-2
    assert distances_to_codes(residuals, codebook)[0].tolist() == pytest.approx([9.8**2 + 0.19**2, 0.01 + 0.0081])

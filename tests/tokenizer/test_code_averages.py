import torch
from accelerate import Accelerator

from tokenizer.code_averages import CodeAverages
from tokenizer.quantizer import quantize


def test_a_chosen_code_moves_towards_the_mean_of_its_items_and_others_stay():
    codebooks = torch.tensor([[[0.0], [10.0], [50.0]]])
    averages = CodeAverages(codebooks, decay=0.5)
    averages.update(quantize(torch.tensor([[1.0], [3.0], [11.0]]), codebooks), Accelerator(cpu=True))
    # counts .5 * 1 + .5 * n, sums .5 * place + .5 * sum of the items: 2 / 1.5, 10.5 / 1, 25 / .5
    assert torch.allclose(codebooks[0, :, 0], torch.tensor([2 / 1.5, 10.5, 50.0]))


def test_after_a_restart_earlier_items_do_not_count():
    codebooks = torch.tensor([[[0.0], [10.0]]])
    averages = CodeAverages(codebooks, decay=0.5)
    averages.update(quantize(torch.tensor([[4.0]]), codebooks), Accelerator(cpu=True))
    codebooks.copy_(torch.tensor([[[0.0], [10.0]]]))
    averages.restart()
    averages.update(quantize(torch.tensor([[2.0]]), codebooks), Accelerator(cpu=True))
    assert torch.allclose(codebooks[0, :, 0], torch.tensor([1.0, 10.0]))


def test_a_code_that_is_never_chosen_stays_for_ever():
    codebooks = torch.tensor([[[0.0], [50.0]]])
    averages, quantized = CodeAverages(codebooks, decay=0.5), quantize(torch.tensor([[1.0]]), codebooks)
    for _ in range(1000):
        averages.update(quantized, Accelerator(cpu=True))
    assert codebooks[0, :, 0].tolist() == [1.0, 50.0]

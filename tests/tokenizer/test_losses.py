import torch

from tokenizer.losses import codebook_loss, commitment_loss, reconstruction_loss


def test_reconstruction_loss_is_the_mean_square_of_each_item():
    decoded, target = torch.tensor([[1.0, 3.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert reconstruction_loss(decoded, target).tolist() == [2.5, 0.0]  # (1 + 4) / 2


def test_codebook_and_commitment_are_one_distance_summed_over_levels():
    residuals = torch.tensor([[[2.0, 0.0]], [[1.0, 1.0]]])
    chosen = torch.zeros(2, 1, 2)
    assert codebook_loss(residuals, chosen).tolist() == [3.0]  # 4 / 2 + 2 / 2
    assert commitment_loss(residuals, chosen).tolist() == [3.0]


def test_codebook_loss_moves_codebooks_only_and_commitment_the_encoder_only():
    residuals = torch.ones(1, 1, 2, requires_grad=True)
    chosen = torch.zeros(1, 1, 2, requires_grad=True)
    codebook_loss(residuals, chosen).sum().backward()
    assert residuals.grad is None and chosen.grad is not None and chosen.grad.tolist() == [[[-1.0, -1.0]]]
    chosen.grad = None
    commitment_loss(residuals, chosen).sum().backward()
    assert chosen.grad is None and residuals.grad is not None and residuals.grad.tolist() == [[[1.0, 1.0]]]

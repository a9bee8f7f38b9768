"""What negatives share with their target, against a decoder that is run for each of them alone."""

import pytest
import torch

from genrec.generator.negatives import Negatives, draw_negatives

HISTORY = torch.tensor([[3, 9, 12], [5, 8, -1], [7, -1, -1]])
CAUSAL_TARGETS = torch.tensor([[9, 12, 4], [8, 20, -1], [31, -1, -1]])
NEWEST_TARGETS = torch.tensor([[4], [20], [31]])


@pytest.mark.parametrize("encoder", ["causal_items", "bidirectional_tokens"])
def test_logits_with_shared_states_equal_those_of_a_forward_for_each_negative(encoder, small_generator):
    generator = small_generator(encoder).double()
    targets = CAUSAL_TARGETS if encoder == "causal_items" else NEWEST_TARGETS
    places = torch.tensor([0, 2] if encoder == "bidirectional_tokens" else [0, 2, 4, 5])
    rows = torch.randint(40, (len(places), 7), generator=torch.Generator().manual_seed(0))
    found = generator(HISTORY, targets, negatives=Negatives(places, rows))
    for n in range(7):
        swapped = targets[targets >= 0]
        swapped[places] = rows[:, n]
        alone = generator(HISTORY, targets.masked_scatter(targets >= 0, swapped)).code_logits
        for level in (1, 2):
            torch.testing.assert_close(found.negative_logits[level - 1][:, n], alone[level][places], atol=1e-9, rtol=0)
        torch.testing.assert_close(found.code_logits[0][places], alone[0][places], atol=1e-9, rtol=0)


def test_gradients_through_the_shared_states_equal_those_of_separate_forwards(small_generator):
    together, apart = small_generator().double(), small_generator().double()
    rows = torch.tensor([[1, 30], [17, 2]])
    places = torch.tensor([1, 3])
    found = together(HISTORY, CAUSAL_TARGETS, negatives=Negatives(places, rows))
    sum((logits**2).sum() for logits in found.negative_logits).backward()
    for n in range(2):
        swapped = CAUSAL_TARGETS[CAUSAL_TARGETS >= 0]
        swapped[places] = rows[:, n]
        alone = apart(HISTORY, CAUSAL_TARGETS.masked_scatter(CAUSAL_TARGETS >= 0, swapped)).code_logits
        sum((logits[places] ** 2).sum() for logits in alone[1:]).backward()
    for name, parameter in apart.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(dict(together.named_parameters())[name].grad, parameter.grad)


def test_every_target_is_compared_by_default():
    torch.manual_seed(0)
    drawn = draw_negatives(5, num_items=1000, num_negatives=50, share=1.0)
    assert drawn.places.tolist() == [0, 1, 2, 3, 4]
    assert drawn.rows.shape == (5, 50)
    assert len({tuple(row) for row in drawn.rows.tolist()}) == 5


def test_a_share_is_rounded_up_and_no_target_is_taken_twice():
    torch.manual_seed(0)
    drawn = [draw_negatives(10, num_items=7, num_negatives=3, share=0.25).places for _ in range(200)]
    assert all(len(set(places.tolist())) == 3 for places in drawn)
    counts = torch.stack(drawn).flatten().bincount(minlength=10)
    assert counts.min() > 30  # of 60 expected


def test_draws_are_uniform_over_the_catalogue():
    torch.manual_seed(0)
    drawn = draw_negatives(100, num_items=4, num_negatives=100, share=1.0)
    assert drawn.rows.flatten().bincount().tolist() == pytest.approx([2500] * 4, abs=200)


def test_parts_of_a_batch_have_the_negatives_of_the_whole():
    torch.manual_seed(0)
    whole = draw_negatives(9, num_items=30, num_negatives=4, share=0.6)
    of_target = dict(zip(whole.places.tolist(), whole.rows.tolist(), strict=True))
    found = {}
    for places in (torch.tensor([0, 3, 6]), torch.tensor([1, 4, 7]), torch.tensor([2, 5, 8])):
        part = whole.part(places)
        found |= dict(zip(places[part.places].tolist(), part.rows.tolist(), strict=True))
    assert found == of_target

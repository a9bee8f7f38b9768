"""The objective against its parts put together by hand: one target and one negative at a time."""

from dataclasses import replace

import pytest
import torch

from genrec.data.batches import Batch
from genrec.generator.losses import LossConfig
from genrec.generator.negatives import Negatives
from genrec.generator.prefix_losses import PrefixLossConfig
from genrec.generator.prefixes import Prefixes
from genrec.training import generator_objective
from genrec.training.generator_objective import GeneratorObjective
from genrec.training.objective import AdaptiveObjective
from trie import PrefixTrie

BATCH = Batch(
    torch.tensor([[3, 9, 12], [5, 8, -1], [7, -1, -1]]), torch.tensor([[9, 12, 4], [8, 20, -1], [31, -1, -1]])
)
TARGETS = [9, 12, 4, 8, 20, 31]
EVEN = torch.full((40,), 1 / 40)
PREFIX = PrefixLossConfig(beta=0.3, num_negatives=12)


def objective_of(generator, prefix_trie, **options):
    return GeneratorObjective(LossConfig(**options), generator.vocabulary, Prefixes(prefix_trie), EVEN)


def log_probs_one_by_one(generator, codes, rivals_of, *, targets, temperature):
    """Of every code of the rows in `targets` (like BATCH's), as [targets][levels] floats."""
    logits = generator(BATCH.history, targets).code_logits
    found = []
    for place, row in enumerate(targets[targets >= 0].tolist()):
        found.append([])
        for level, code in enumerate(codes[row]):
            rivals = rivals_of(row, level)
            scaled = logits[level][place] / temperature
            found[-1].append((scaled[code] - scaled[rivals].logsumexp(0)).item())
    return found


@pytest.mark.parametrize("softmax", ["level", "children"])
@pytest.mark.parametrize("kind", ["pointwise", "pairwise"])
def test_the_total_is_what_its_definition_says(softmax, kind, small_generator, prefix_trie, codes):
    generator = small_generator().double()
    config = LossConfig(item_weight=0.0, softmax=softmax, temperature=1.5, prefix=replace(PREFIX, kind=kind, tau=0.8))
    objective = GeneratorObjective(config, generator.vocabulary, Prefixes(prefix_trie), EVEN).weighed((0.5, 0.3, 0.2))

    def rivals_of(row, level):
        alike = (codes[:, :level] == codes[row, :level]).all(1)
        return sorted(set(codes[alike, level])) if softmax == "children" else slice(None)

    one_by_one = lambda targets: torch.tensor(  # noqa: E731
        log_probs_one_by_one(generator, codes, rivals_of, targets=targets, temperature=1.5), dtype=torch.float64
    )
    torch.manual_seed(7)
    found = objective.losses(generator, BATCH)
    torch.manual_seed(7)
    rows = torch.randint(40, (6, 12))
    own = one_by_one(BATCH.targets).cumsum(1)
    if kind == "pointwise":
        expected = [-own[:, t].sum().item() / (t + 1) for t in range(3)]
    else:
        others = torch.stack(
            [one_by_one(BATCH.targets.masked_scatter(BATCH.targets >= 0, rows[:, n])).cumsum(1) for n in range(12)], 1
        )
        expected = [pairwise_by_sets(own, others, codes, rows, t) for t in range(3)]
    parts = [found.parts[f"prefix_loss_{t}"].item() for t in (1, 2, 3)]
    assert parts == pytest.approx(expected, abs=1e-6)
    weighed = 0.5 * expected[0] + 0.3 * expected[1] + 0.2 * expected[2]
    assert found.total.item() == pytest.approx(-own[:, 2].sum().item() + 0.3 * 3 * weighed, abs=1e-6)
    assert [found.parts[f"prefix_weight_{t}"].item() / 6 for t in (1, 2, 3)] == pytest.approx([0.5, 0.3, 0.2])


def pairwise_by_sets(own, others, codes, rows, t):
    total = 0.0
    for place, target in enumerate(TARGETS):
        seen, kept = {tuple(codes[target, : t + 1])}, []
        for n, row in enumerate(rows[place].tolist()):
            kept += [n] if tuple(codes[row, : t + 1]) not in seen else []
            seen.add(tuple(codes[row, : t + 1]))
        correction = (len({tuple(row[: t + 1]) for row in codes}) - 1) / (len(kept) + 1)
        rivals = sum(torch.exp(others[place, n, t] / 0.8).item() for n in kept) * correction
        positive = torch.exp(own[place, t] / 0.8)
        total -= torch.log(positive / (positive + rivals)).item()
    return total / (t + 1)


@pytest.mark.parametrize("kind", ["pointwise", "pairwise"])
def test_losses_of_parts_add_up_to_those_of_the_batch(kind, small_generator, prefix_trie, monkeypatch):
    def all_items(num_targets, *, num_items, **_):
        return Negatives(torch.arange(num_targets), torch.arange(num_items).repeat(num_targets, 1))

    monkeypatch.setattr(generator_objective, "draw_negatives", all_items)
    generator = small_generator()
    objective = objective_of(generator, prefix_trie, prefix=replace(PREFIX, kind=kind))
    whole, first, second = (
        objective.losses(generator, Batch(*(tensor[part] for tensor in BATCH)))
        for part in (slice(0, 3), slice(0, 1), slice(1, 3))
    )
    assert whole.total.item() == pytest.approx((first.total + second.total).item(), rel=1e-5)
    for name, part in whole.parts.items():
        assert part.item() == pytest.approx((first.parts[name] + second.parts[name]).item(), rel=1e-5)


def test_a_share_of_the_targets_stands_for_all_of_them(small_generator, prefix_trie):
    generator = small_generator()
    config = replace(PREFIX, kind="pairwise", num_negatives=60)

    def mean_loss(share, draws):
        objective = objective_of(generator, prefix_trie, prefix=replace(config, target_share=share))
        with torch.no_grad():
            drawn = [objective.losses(generator, BATCH).parts["prefix_loss_2"] for _ in range(draws)]
        return torch.stack(drawn).mean().item()

    torch.manual_seed(0)
    assert mean_loss(0.3, draws=60) == pytest.approx(mean_loss(1.0, draws=10), rel=0.1)


def test_no_gradient_goes_through_the_weights_and_they_follow_the_worst_level(small_generator, prefix_trie):
    generator = small_generator()
    objective = objective_of(generator, prefix_trie, prefix=replace(PREFIX, kind="pointwise", eta=1.0))
    assert isinstance(objective, AdaptiveObjective)
    found = objective.losses(generator, BATCH)
    assert not any(part.requires_grad for part in found.parts.values())
    means = {f"prefix_loss_{level}": loss for level, loss in ((1, 1.0), (2, 2.0), (3, 1.0))}
    first = objective.next_weights((), means)
    assert first == pytest.approx([1 / (2 + 2.718281828), 2.718281828 / (2 + 2.718281828), 1 / (2 + 2.718281828)])
    second = objective.next_weights(first, means)
    assert second[1] / second[0] == pytest.approx(2.718281828**2)


def test_without_a_prefix_loss_there_are_no_weights(small_generator, prefix_trie):
    objective = objective_of(small_generator(), prefix_trie)
    assert objective.next_weights((), {"nll_level_1": 1.0}) == ()


def test_prefixes_of_another_catalogue_are_refused(small_generator, codes):
    other = Prefixes(PrefixTrie.from_codes(codes[:39], level_sizes=(7, 5, 3)))
    with pytest.raises(ValueError, match="expected the prefixes of 40 items"):
        GeneratorObjective(LossConfig(), small_generator().vocabulary, other, EVEN)


@pytest.mark.parametrize("distillation", [0.0, 0.6])
def test_the_item_head_costs_its_cross_entropy_and_teaches_the_codes(distillation, small_generator, prefix_trie, codes):
    generator = small_generator().double()
    objective = objective_of(generator, prefix_trie, item_weight=0.5, distillation=distillation, softmax="level")
    found = objective.losses(generator, BATCH)
    prediction = generator(*BATCH, with_items=True)
    log_items = prediction.items.logits().log_softmax(-1)
    expected = sum(-0.5 * log_items[place, row].item() for place, row in enumerate(TARGETS))
    for place, row in enumerate(TARGETS):
        for level, logits in enumerate(prediction.code_logits):
            log_codes = logits[place].log_softmax(-1)
            alike = [item for item in range(40) if (codes[item, :level] == codes[row, :level]).all()]
            below = sum(log_items[place, item].exp() for item in alike)
            taught = sum(log_items[place, item].exp() / below * log_codes[codes[item, level]] for item in alike)
            expected -= ((1 - distillation) * log_codes[codes[row, level]] + distillation * taught).item()
    assert found.total.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_items_smoothing_is_their_own(smoothing, small_generator, prefix_trie):
    generator = small_generator().double()
    options = {"label_smoothing": 0.4, "item_label_smoothing": smoothing}
    found = objective_of(generator, prefix_trie, **options).losses(generator, BATCH)
    logits, rows = generator(*BATCH, with_items=True).items.logits(), torch.tensor(TARGETS)
    expected = torch.nn.functional.cross_entropy(logits, rows, label_smoothing=smoothing, reduction="sum")
    assert found.parts["nll_item"].item() == pytest.approx(expected.item(), rel=1e-9)


def test_a_sample_that_has_every_item_costs_what_the_catalogue_does(small_generator, prefix_trie):
    generator = small_generator().double()
    whole = objective_of(generator, prefix_trie).losses(generator, BATCH)
    sampled = objective_of(generator, prefix_trie, item_negatives=5000).losses(generator, BATCH)
    assert sampled.total.item() == pytest.approx(whole.total.item(), rel=1e-5)


def test_samples_cost_on_average_nearly_what_the_catalogue_does(small_generator, prefix_trie):
    generator = small_generator().double()
    torch.manual_seed(0)
    objective = objective_of(generator, prefix_trie, item_negatives=60)
    costs = [objective.losses(generator, BATCH).parts["nll_item"].item() for _ in range(200)]
    whole = objective_of(generator, prefix_trie).losses(generator, BATCH).parts["nll_item"].item()
    assert sum(costs) / len(costs) == pytest.approx(whole, rel=0.01)

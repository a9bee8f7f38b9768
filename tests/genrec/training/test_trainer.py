import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from genrec.data.batches import sequence_windows
from genrec.data.epochs import HeldWindows
from genrec.data.interactions import Interactions
from genrec.data.splits import leave_one_out
from genrec.errors import TrainingError
from genrec.generator.losses import LossConfig
from genrec.generator.prefix_losses import PrefixLossConfig, update_weights
from genrec.generator.prefixes import Prefixes
from genrec.training.checkpoint import CheckpointFolder
from genrec.training.generator_objective import GeneratorObjective
from genrec.training.loop_config import TrainingConfig
from genrec.training.optimizer import OptimizerConfig
from genrec.training.trainer import Trainer
from trie import PrefixTrie

CONFIG = TrainingConfig(
    epochs=3, batch_size=8, validate_every_epochs=1, log_every_steps=1, optimizer=OptimizerConfig(warmup_steps=2)
)
POINTWISE = LossConfig(prefix=PrefixLossConfig(kind="pointwise", eta=0.5))
PAIRWISE = LossConfig(softmax="children", prefix=PrefixLossConfig(kind="pairwise", eta=0.5, num_negatives=5))


class Notes:
    """A watcher that remembers, and may stop the training at a step as a kill would."""

    def __init__(self, stop_at=None, signal_at=None):
        self.steps, self.events, self.stop_at, self.signal_at = [], [], stop_at, signal_at

    def on_step(self, state, *, num_targets, num_steps):
        if state.step == self.stop_at:
            raise KeyboardInterrupt
        if state.step == self.signal_at:
            os.kill(os.getpid(), signal.SIGTERM)

    def on_figures(self, state, figures):
        self.steps.append((state.step, figures))

    def on_event(self, event):
        self.events.append(event)


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    offsets = np.arange(0, 33 * 7, 7, dtype=np.int64)
    users, ids = np.array([f"u{i}" for i in range(32)]), np.array([f"i{i}" for i in range(40)])
    interactions = Interactions(users, ids, offsets, random.integers(0, 40, size=int(offsets[-1])).astype(np.int32))
    ends = leave_one_out(interactions).train_end
    return HeldWindows(interactions.items, sequence_windows(offsets[:-1], ends, max_items=8))


def generator_objective(generator, loss):
    vocabulary = generator.vocabulary
    codes = vocabulary.item_codes.numpy()
    prefixes = Prefixes(PrefixTrie.from_codes(codes, level_sizes=vocabulary.level_sizes))
    return GeneratorObjective(loss, vocabulary, prefixes, torch.full((len(codes),), 1 / len(codes)))


def trained(generator, data, folder, *, config=CONFIG, validate=None, notes=None):
    scores = iter(range(100))
    trainer = Trainer(
        config,
        generator_objective(generator, config.loss),
        accelerator=Accelerator(cpu=True),
        checkpoints=CheckpointFolder(folder, fingerprint="a"),
        watcher=notes or Notes(),
        seed=0,
    )
    return trainer.train(generator, data, validate=validate or (lambda *_: {"ndcg@10": next(scores) / 100}))


def weights(generator):
    return torch.cat([parameter.detach().flatten() for parameter in generator.parameters()])


def test_the_loss_falls(small_generator, data, tmp_path):
    notes = Notes()
    trained(small_generator(dropout=0.0), data, tmp_path, config=replace(CONFIG, epochs=15), notes=notes)
    losses = [figures["loss"] for _, figures in notes.steps]
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])
    assert [step for step, _ in notes.steps] == list(range(1, 61))


@pytest.mark.parametrize("loss", [LossConfig(), POINTWISE])
def test_a_batch_in_parts_gives_the_update_of_the_whole(small_generator, data, tmp_path, loss):
    whole, parts = small_generator(dropout=0.0), small_generator(dropout=0.0)
    config = replace(CONFIG, loss=loss)
    state = trained(whole, data, tmp_path / "whole", config=config)
    in_parts = trained(parts, data, tmp_path / "parts", config=replace(config, gradient_accumulation=3))
    torch.testing.assert_close(weights(whole), weights(parts), atol=1e-5, rtol=1e-4)
    assert in_parts.loss_weights == pytest.approx(state.loss_weights, rel=1e-4)


@pytest.mark.parametrize(
    ("stop_at", "loss"), [(1, LossConfig()), (4, LossConfig()), (7, LossConfig()), (6, POINTWISE), (6, PAIRWISE)]
)
def test_a_training_that_goes_on_ends_where_an_uninterrupted_one_does(small_generator, data, tmp_path, stop_at, loss):
    straight, config = small_generator(dropout=0.3), replace(CONFIG, loss=loss)
    state = trained(straight, data, tmp_path / "straight", config=config)
    with pytest.raises(KeyboardInterrupt):
        every_step = replace(config, checkpoint_every_steps=1)
        trained(small_generator(dropout=0.3), data, tmp_path / "broken", config=every_step, notes=Notes(stop_at))
    resumed, notes = small_generator(dropout=0.3), Notes()
    # the figures of the validations that the first part saw
    seen = iter(range((stop_at - 1) // 4, 100))
    validate = lambda *_: {"ndcg@10": next(seen) / 100}  # noqa: E731
    resumed_state = trained(resumed, data, tmp_path / "broken", config=config, notes=notes, validate=validate)
    steps = [event["step"] for event in notes.events if event["event"] == "resumed"]
    assert steps == ([stop_at - 1] if stop_at > 1 else [])
    assert torch.equal(weights(straight), weights(resumed))
    assert resumed_state.loss_weights == state.loss_weights


def test_weights_of_the_prefixes_follow_the_losses_once_a_step(small_generator, data, tmp_path):
    notes = Notes()
    state = trained(small_generator(), data, tmp_path, config=replace(CONFIG, loss=POINTWISE, epochs=1), notes=notes)
    expected = None
    for _, figures in notes.steps:
        used = [figures[f"prefix_weight_{level}"] for level in (1, 2, 3)]
        assert used == pytest.approx([1 / 3] * 3 if expected is None else expected.tolist(), rel=1e-5)
        losses = torch.tensor([figures[f"prefix_loss_{level}"] for level in (1, 2, 3)], dtype=torch.float64)
        expected = update_weights(expected, losses, 0.5)
    assert state.loss_weights == pytest.approx(expected.tolist(), rel=1e-5)
    assert max(state.loss_weights) > 0.4


def test_it_stops_when_patience_ends_and_keeps_the_best_weights(small_generator, data, tmp_path):
    scores, kept = iter([0.1, 0.5, 0.2, 0.3, 0.4]), []

    def validate(generator, between):
        kept.append(weights(generator))
        return {"ndcg@10": next(scores)}

    generator = small_generator()
    state = trained(generator, data, tmp_path, config=replace(CONFIG, epochs=9, patience=2), validate=validate)
    assert len(kept) == 4
    assert (state.best_ndcg, state.best_step) == (0.5, 8)
    assert torch.equal(weights(generator), kept[1])


def test_a_gradient_that_is_not_finite_stops_before_the_update(small_generator, data, tmp_path):
    generator = small_generator()
    with torch.no_grad():
        generator.heads[0].weight[0, 0] = torch.nan
    before = weights(generator)
    with pytest.raises(TrainingError, match="step 0"):
        trained(generator, data, tmp_path)
    assert torch.equal(before.nan_to_num(), weights(generator).nan_to_num())
    assert not list(tmp_path.glob("last-*"))


def test_a_loss_that_is_not_finite_names_the_users_of_its_batch(small_generator, data, tmp_path):
    generator = small_generator()
    with torch.no_grad():
        generator.heads[0].weight[0, 0] = torch.inf
    with pytest.raises(TrainingError, match=r"step 0, a batch of the users in rows \d+(, \d+){7} of sequences"):
        trained(generator, data, tmp_path)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 7 bytes")])
def test_a_lack_of_memory_says_what_to_lower(small_generator, data, tmp_path, error):
    generator = small_generator()
    generator.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(error))
    with pytest.raises(TrainingError, match=r"out of memory in step 0 .* Raise training\.gradient_accumulation"):
        trained(generator, data, tmp_path)


def test_other_errors_stay_what_they_are(small_generator, data, tmp_path):
    generator = small_generator()
    generator.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shapes differ")))
    with pytest.raises(RuntimeError, match="shapes differ"):
        trained(generator, data, tmp_path)


@pytest.mark.parametrize("signal_at", [1, 3, 4, 9])
def test_sigterm_saves_the_step_and_the_training_goes_on_from_it(small_generator, data, tmp_path, signal_at):
    straight, notes = small_generator(dropout=0.3), Notes(signal_at=signal_at)
    trained(straight, data, tmp_path / "straight")
    with pytest.raises(SystemExit, match="143"):
        trained(small_generator(dropout=0.3), data, tmp_path / "stopped", notes=notes)
    stopped = notes.events[-1]
    # what is asked for during a step is known to all processes in the next one
    assert stopped == {"event": "stopped", "signal": "SIGTERM", "step": signal_at + 1, "during": "training"}
    resumed, notes = small_generator(dropout=0.3), Notes()
    seen = iter(range(signal_at // 4, 100))
    trained(resumed, data, tmp_path / "stopped", notes=notes, validate=lambda *_: {"ndcg@10": next(seen) / 100})
    assert notes.events[0]["step"] == signal_at + 1
    assert torch.equal(weights(straight), weights(resumed))


def test_sigterm_during_a_validation_stops_it_and_the_validation_comes_first_afterwards(
    small_generator, data, tmp_path
):
    straight = small_generator(dropout=0.3)
    trained(straight, data, tmp_path / "straight")

    def stopped_validation(generator, between):
        between()
        os.kill(os.getpid(), signal.SIGTERM)
        between()
        raise AssertionError("the validation went on")

    notes = Notes()
    with pytest.raises(SystemExit, match="143"):
        trained(small_generator(dropout=0.3), data, tmp_path / "stopped", notes=notes, validate=stopped_validation)
    assert notes.events[-1] == {"event": "stopped", "signal": "SIGTERM", "step": 4, "during": "validation"}
    resumed, notes = small_generator(dropout=0.3), Notes()
    trained(resumed, data, tmp_path / "stopped", notes=notes)
    assert [event["event"] for event in notes.events[:2]] == ["resumed", "validated"]
    assert [step for step, _ in notes.steps] == list(range(5, 13))
    assert torch.equal(weights(straight), weights(resumed))


def test_a_training_that_ran_out_of_time_goes_on_when_it_is_given_more(small_generator, data, tmp_path):
    straight = small_generator(dropout=0.3)
    trained(straight, data, tmp_path / "straight")
    short = replace(CONFIG, max_cpu_hours=1e-9)
    state = trained(small_generator(dropout=0.3), data, tmp_path / "cut", config=short)
    assert (state.step, state.ended_by, state.finished) == (1, "time", True)
    again = trained(small_generator(dropout=0.3), data, tmp_path / "cut", config=short)
    assert again.step == 1
    resumed = small_generator(dropout=0.3)
    seen = iter(range(1, 100))
    state = trained(resumed, data, tmp_path / "cut", validate=lambda *_: {"ndcg@10": next(seen) / 100})
    assert (state.step, state.ended_by) == (12, "epochs")
    assert torch.equal(weights(straight), weights(resumed))


@pytest.mark.parametrize("key", ["epochs", "batch_size", "patience", "gradient_accumulation"])
def test_options_out_of_range_are_refused(key):
    with pytest.raises(ValueError, match=key):
        TrainingConfig(**{key: 0})

"""The generator on two processes (gloo, CPU), which train as one does."""

import json
import shutil

import pytest
from forked import forked_together
from safetensors.torch import load_file

SCRIPT = """
import json, sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, FullyShardedDataParallelPlugin
from accelerate.utils import DistributedType
from safetensors.torch import save_file

from genrec.data.batches import sequence_windows
from genrec.data.epochs import HeldWindows
from genrec.generator.config import GeneratorConfig, GeneratorOptions
from genrec.generator.losses import LossConfig
from genrec.generator.model import Generator
from genrec.generator.prefix_losses import PrefixLossConfig
from genrec.generator.prefixes import Prefixes
from genrec.training.checkpoint import CheckpointFolder
from genrec.training.generator_objective import GeneratorObjective
from genrec.training.loop_config import TrainingConfig
from genrec.training.stage import freeze_unused
from genrec.training.trainer import Trainer
from trie import PrefixTrie

torch.set_num_threads(1)
losses = {
    "sampled": LossConfig(item_negatives=12),
    "pointwise": LossConfig(prefix=PrefixLossConfig(kind="pointwise", eta=0.5)),
    "pairwise": LossConfig(prefix=PrefixLossConfig(kind="pairwise", eta=0.5, num_negatives=6, target_share=0.3)),
    "codes": LossConfig(item_weight=0.0),
}
random = np.random.default_rng(0)
lengths = random.integers(3, 12, size=101)
ends = np.cumsum(lengths)
items = random.integers(40, size=ends[-1]).astype(np.int32)
data = HeldWindows(items, sequence_windows(ends - lengths, ends, max_items=8))
codes = np.stack([np.arange(40) // 8, np.arange(40) % 8, random.integers(3, size=40)], axis=1).astype(np.int32)
prefixes = Prefixes(PrefixTrie.from_codes(codes, level_sizes=(5, 8, 3)))
sizes = dict(width=16, num_heads=2, feed_forward_dim=32, encoder_layers=1, decoder_layers=1, dropout=0.0, max_items=8)
accelerator = Accelerator(cpu=True)
if IS_SHARDED:  # which accelerate does on GPUs only, if it is merely asked to
    plugin = FullyShardedDataParallelPlugin(fsdp_version=2, auto_wrap_policy="transformer_based_wrap")
    accelerator.state.distributed_type, accelerator.state.fsdp_plugin = DistributedType.FSDP, plugin
    assert accelerator.is_fsdp2


class Notes:
    def __init__(self):
        self.steps = []

    def on_step(self, state, *, num_targets, num_steps):
        pass

    def on_figures(self, state, figures):
        self.steps.append(figures)

    def on_event(self, event):
        pass


def train(folder, kind, epochs, gradient_accumulation, stops):
    torch.manual_seed(0)
    options = GeneratorOptions(**sizes)
    generator = Generator(GeneratorConfig.from_options(options, level_sizes=(5, 8, 3), num_items=40, fingerprint="a"))
    generator.vocabulary.set_codes(torch.from_numpy(codes))
    config = TrainingConfig(
        epochs=epochs,
        batch_size=7,
        log_every_steps=1,
        validate_every_epochs=2,
        gradient_accumulation=gradient_accumulation,
        loss=losses[kind],
    )
    freeze_unused(generator, config.loss)
    shares = torch.from_numpy(data.target_shares(40))
    notes, norms = Notes(), []
    trainer = Trainer(
        config,
        GeneratorObjective(config.loss, generator.vocabulary, prefixes, shares),
        accelerator=accelerator,
        checkpoints=CheckpointFolder(folder / "checkpoints", fingerprint="a", writes=accelerator.is_main_process),
        watcher=notes,
        seed=0,
    )
    folder.mkdir(exist_ok=True)

    def validate(model, between):
        assert not any(hasattr(parameter, "full_tensor") for parameter in model.parameters())
        norms.append(sum(float(parameter.detach().norm()) for parameter in model.parameters()))
        if stops and len(norms) == 1:
            accelerator.wait_for_everyone()
            sys.exit(0)
        return {"ndcg@10": norms[-1] / 1e6}

    state = trainer.train(generator, data, validate=validate)
    assert len(set(norms)) == len(norms)  # each time the weights were new
    if accelerator.is_main_process:
        (folder / "steps.json").write_text(json.dumps(notes.steps))
        weights = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
        save_file(weights, folder / "weights.safetensors")
        (folder / "weights.json").write_text(json.dumps(state.loss_weights))


for folder, *job in JOBS:
    train(Path(folder), *job)
"""
LONG, SHORT = 14, 4  # epochs: more than 200 steps, and 60
KINDS = {"sampled": LONG, "pointwise": SHORT, "pairwise": SHORT, "codes": SHORT}


def job(folder, kind="sampled", epochs=SHORT, gradient_accumulation=1, stops=False):
    return [str(folder), kind, epochs, gradient_accumulation, stops]


def train(num_processes, *jobs, folder, is_sharded=False):
    """Trainings one after the other."""
    given = f"IS_SHARDED, JOBS = {is_sharded}, {list(jobs)}"
    forked_together(f"{given}\n{SCRIPT}", folder=folder, num_processes=num_processes)


@pytest.fixture(scope="module")
def trainings(tmp_path_factory):
    """A folder with what one process has learned of each kind, what two have, and two with batches in two parts."""
    folder = tmp_path_factory.mktemp("trainings")
    one = [job(folder / f"one-{kind}", kind, epochs) for kind, epochs in KINDS.items()]
    train(1, *one, job(folder / "one-short"), folder=folder)
    two = [job(folder / f"two-{kind}", kind, epochs) for kind, epochs in KINDS.items()]
    parts = [job(folder / f"parts-{kind}", kind, epochs, 2) for kind, epochs in KINDS.items()]
    train(2, *two, *parts, folder=folder)
    return folder


def read(folder):
    steps = json.loads((folder / "steps.json").read_text())
    return steps, load_file(folder / "weights.safetensors"), json.loads((folder / "weights.json").read_text())


def assert_same_losses(ours, theirs):
    for our, their in zip(ours, theirs, strict=True):
        assert our == pytest.approx(their, rel=1e-5, abs=1e-5)


def largest_difference(ours, theirs):
    return max(float((ours[name] - theirs[name]).abs().max()) for name in ours)


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_have_the_losses_of_one_however_the_batch_is_parted(trainings, kind):
    one, weights, loss_weights = read(trainings / f"one-{kind}")
    two, other_weights, other_loss_weights = read(trainings / f"two-{kind}")
    assert len(one) >= {LONG: 200, SHORT: 60}[KINDS[kind]]
    assert_same_losses(one, two)
    assert largest_difference(weights, other_weights) < 1e-4
    assert loss_weights == pytest.approx(other_loss_weights, abs=1e-6)
    in_parts, *_ = read(trainings / f"parts-{kind}")
    assert_same_losses(one, in_parts)


def test_sharded_weights_learn_what_whole_ones_do_and_go_on_either_way(trainings, tmp_path):
    one, weights, _ = read(trainings / "one-short")
    stopped, copied = tmp_path / "stopped", tmp_path / "copied"
    in_parts = job(tmp_path / "sharded", gradient_accumulation=2)
    train(2, in_parts, job(stopped, stops=True), folder=tmp_path, is_sharded=True)
    sharded, other_weights, _ = read(tmp_path / "sharded")
    assert_same_losses(one, sharded)
    assert largest_difference(weights, other_weights) < 1e-4
    shutil.copytree(stopped, copied)
    train(1, job(stopped), folder=tmp_path)
    train(2, job(copied), folder=tmp_path, is_sharded=True)
    for folder in (stopped, copied):
        on, other_weights, _ = read(folder)
        assert_same_losses(one[-len(on) :], on)
        assert len(on) <= len(one) / 2 and largest_difference(weights, other_weights) < 1e-4

import pytest
import torch
from torch import nn

from genrec.errors import ArtifactError
from genrec.training.checkpoint import CheckpointFolder, TrainingState


def stepped(seed):
    """A model and an optimiser with one step behind them."""
    torch.manual_seed(seed)
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return model, optimizer


def states_equal(first, second):
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_what_was_saved_comes_back(tmp_path):
    folder = CheckpointFolder(tmp_path, fingerprint="a")
    model, optimizer = stepped(0)
    state = TrainingState(epoch=2, batch=5, step=17, best_ndcg=0.25, loss_weights=(0.1, 1 / 3), seconds=3.5)
    folder.save_last(model, optimizer, state)
    other, other_optimizer = stepped(1)
    assert folder.load_last(other, other_optimizer) == state
    assert states_equal(model, other)
    for key, slot in optimizer.state_dict()["state"].items():
        loaded = other_optimizer.state_dict()["state"][key]
        assert all(torch.equal(slot[name], loaded[name]) for name in slot)


def test_only_what_is_needed_is_kept(tmp_path):
    folder = CheckpointFolder(tmp_path, fingerprint="a")
    model, optimizer = stepped(0)
    folder.save_best(model, 10)
    folder.save_last(model, optimizer, TrainingState(step=10, best_step=10))
    folder.save_best(model, 20)
    assert {path.name for path in tmp_path.iterdir()} == {"best-00000010", "best-00000020", "last-00000010-0000"}
    folder.save_last(model, optimizer, TrainingState(step=20, best_step=20))
    assert {path.name for path in tmp_path.iterdir()} == {"best-00000020", "last-00000020-0000"}


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path, fingerprint="a")
    model, optimizer = stepped(0)
    folder.save_last(model, optimizer, TrainingState(step=1))
    kept = tmp_path / "kept"
    (tmp_path / "last-00000001-0000").rename(kept)
    folder.save_last(model, optimizer, TrainingState(step=2))
    kept.rename(tmp_path / "last-00000001-0000")
    damaged = tmp_path / "last-00000002-0000" / "model.safetensors"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    assert folder.load_last(model, optimizer) == TrainingState(step=1)
    assert "last-00000002" in caplog.text


def test_a_checkpoint_of_another_training_is_not_taken(tmp_path):
    model, optimizer = stepped(0)
    CheckpointFolder(tmp_path, fingerprint="a").save_last(model, optimizer, TrainingState(step=1))
    assert CheckpointFolder(tmp_path, fingerprint="b").load_last(model, optimizer) is None


def test_a_missing_best_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ArtifactError, match="best-00000003"):
        CheckpointFolder(tmp_path, fingerprint="a").load_best(nn.Linear(1, 1), 3)

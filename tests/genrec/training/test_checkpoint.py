import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from genrec.errors import ArtifactError, TrainingError
from genrec.training import checkpoint
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
    assert brought_back(folder, other, other_optimizer) == state
    assert states_equal(model, other)
    for key, slot in optimizer.state_dict()["state"].items():
        loaded = other_optimizer.state_dict()["state"][key]
        assert all(torch.equal(slot[name], loaded[name]) for name in slot)


def brought_back(folder, model, optimizer):
    """The state of the newest whole checkpoint, which model and optimiser are brought to."""
    found = folder.load_last(model, optimizer)
    model.load_state_dict(found.weights)
    found.restore(optimizer)
    return found.state


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_the_two_newest_and_their_best_weights_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path, fingerprint="a")
    model, optimizer = stepped(0)
    folder.save_best(model, 10)
    folder.save_last(model, optimizer, TrainingState(step=10, best_step=10))
    folder.save_last(model, optimizer, TrainingState(step=15, best_step=10))
    folder.save_best(model, 20)
    folder.save_last(model, optimizer, TrainingState(step=20, best_step=20))
    lasts = {"last-000002-step-00000015", "last-000003-step-00000020"}
    assert names(tmp_path) == {"best-00000010", "best-00000020"} | lasts
    folder.save_last(model, optimizer, TrainingState(step=25, best_step=20))
    assert names(tmp_path) == {"best-00000020", "last-000003-step-00000020", "last-000004-step-00000025"}


DAMAGE = {
    "flipped bit": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "cut short": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "missing": lambda content: None,
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize(
    "file",
    [
        "last-000002-step-00000002/model.safetensors",
        "last-000002-step-00000002/optimizer.safetensors",
        "last-000002-step-00000002/state.json",
        "last-000002-step-00000002/manifest.json",
        "best-00000002/model.safetensors",
    ],
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, caplog, file, damage):
    folder = CheckpointFolder(tmp_path, fingerprint="a")
    before, optimizer = stepped(0)
    folder.save_best(before, 1)
    folder.save_last(before, optimizer, TrainingState(step=1, best_step=1))
    after, optimizer = stepped(1)
    folder.save_best(after, 2)
    folder.save_last(after, optimizer, TrainingState(step=2, best_step=2))
    content = DAMAGE[damage]((tmp_path / file).read_bytes())
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    model, optimizer = stepped(2)
    assert brought_back(folder, model, optimizer) == TrainingState(step=1, best_step=1)
    assert states_equal(model, before)
    assert file.rsplit("/", 1)[0] in caplog.text
    # and the next one is saved over the damaged one's place in the order
    folder.save_last(model, optimizer, TrainingState(step=3, best_step=1))
    assert brought_back(folder, model, optimizer) == TrainingState(step=3, best_step=1)


def test_a_checkpoint_of_other_shapes_changes_nothing(tmp_path, caplog):
    folder = CheckpointFolder(tmp_path, fingerprint="a")
    folder.save_last(*stepped(0), TrainingState(step=1))
    other = nn.Linear(3, 5)
    before = [parameter.clone() for parameter in other.parameters()]
    assert folder.load_last(other, torch.optim.AdamW(other.parameters())) is None
    assert all(torch.equal(a, b) for a, b in zip(before, other.parameters(), strict=True))
    assert "expected bias of shape (5,), got (2,)" in caplog.text


def test_a_full_disk_is_an_error_that_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    folder = CheckpointFolder(tmp_path, fingerprint="a")
    model, optimizer = stepped(0)
    folder.save_last(model, optimizer, TrainingState(step=1))

    def full(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(TrainingError, match=r"could not be written \(I/O error: No space left .* MB are free"):
        folder.save_last(model, optimizer, TrainingState(step=2))
    assert names(tmp_path) == {"last-000001-step-00000001"}
    assert brought_back(folder, model, optimizer) == TrainingState(step=1)


def test_a_checkpoint_of_another_training_is_not_taken(tmp_path):
    model, optimizer = stepped(0)
    CheckpointFolder(tmp_path, fingerprint="a").save_last(model, optimizer, TrainingState(step=1))
    assert CheckpointFolder(tmp_path, fingerprint="b").load_last(model, optimizer) is None


def test_a_missing_best_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ArtifactError, match="best-00000003"):
        CheckpointFolder(tmp_path, fingerprint="a").load_best(nn.Linear(1, 1), 3)

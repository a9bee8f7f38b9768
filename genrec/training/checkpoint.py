"""Checkpoints that survive a kill at any moment: written beside, checked by SHA-256, renamed, then the old ones go.

Weights and optimiser states are safetensors, everything else is JSON; nothing is unpickled.
"""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from genrec.atomic_files import atomic_folder
from genrec.errors import ArtifactError, TrainingError
from genrec.manifests import check_manifest, read_manifest, write_manifest
from genrec.training.sharding import sharded_like, whole_tensors

_log = logging.getLogger(__name__)
_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands, weights and optimiser apart. The order of batches and all dropout follow from it."""

    epoch: int = 0
    batch: int = 0
    """Batches of this epoch that are done."""
    step: int = 0
    """Optimiser steps that are done."""
    best_ndcg: float = -1.0
    best_step: int = 0
    """The step whose weights validated best; 0: none yet."""
    validations_since_best: int = 0
    validation_due: bool = False
    """Whether the weights are to be validated before anything else is done."""
    loss_weights: tuple[float, ...] = ()
    """Those of the next step, where the objective adapts them; (): no step has been done, or it does not."""
    ended_by: Literal["", "epochs", "patience", "time"] = ""
    """What ended the training, once no step is left."""
    seconds: float = 0.0
    """Time spent so far, over all parts of a training that was interrupted."""
    cpu_seconds: float = 0.0
    """Processor time of this process in them, its threads added up."""

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.ended_by != "" and not self.validation_due

    def after_batch(self, loss_weights: tuple[float, ...]) -> "TrainingState":
        """The state one optimiser step later."""
        return replace(self, batch=self.batch + 1, step=self.step + 1, loss_weights=loss_weights)


class Loaded(NamedTuple):
    """A checkpoint that is whole and fits."""

    state: TrainingState
    weights: dict[str, Tensor]
    slots: dict[int, dict[str, Tensor]]
    """What the optimiser keeps of every parameter, in the order of its groups."""

    def restore(self, optimizer: Any) -> None:
        """Put the optimiser where it was; it may have been prepared, and its parameters sharded, since then."""
        groups = optimizer.state_dict()["param_groups"]
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        slots = {
            place: {name: sharded_like(value, parameters[place]) for name, value in values.items()}
            for place, values in self.slots.items()
        }
        optimizer.load_state_dict({"state": slots, "param_groups": groups})


class CheckpointFolder:
    """`last-<number>-step-<step>` to go on from, the two newest of them, and `best-<step>`, the weights to keep.

    Raises:
        TrainingError: the disk is full or refuses to write; what was there before is untouched.
    """

    def __init__(self, path: Path, *, fingerprint: str, writes: bool = True) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.writes = writes
        """Whether this process writes; the others only give their shards of the weights."""

    def save_last(self, model: Module, optimizer: Optimizer, state: TrainingState) -> None:
        """Write all that is needed to go on from `state`, then drop what neither it nor the one before needs."""
        tensors = {_MODEL: model.state_dict(), _OPTIMIZER: _optimizer_tensors(optimizer)}
        tensors = {file: whole_tensors(content) for file, content in tensors.items()}
        if not self.writes:
            return
        earlier = self._lasts()
        # numbered, for there are several of one step: before its validation and after
        number = int(earlier[0].name.split("-")[1]) + 1 if earlier else 1
        name = f"last-{number:06d}-step-{state.step:08d}"
        self._write(name, tensors, asdict(state))
        needed = {name, _best_name(state.best_step), *_needed_by_newest(earlier)}
        for old in [*self.path.glob("last-*"), *self.path.glob("best-*")]:
            if old.name not in needed:
                shutil.rmtree(old, ignore_errors=True)

    def save_best(self, model: Module, step: int) -> None:
        """Keep these weights as the best so far; the best before stays until no `last-...` needs it."""
        if self.writes:
            self._write(_best_name(step), {_MODEL: dict(model.state_dict())}, {})

    def load_last(self, model: Module, optimizer: Optimizer) -> "Loaded | None":
        """What the newest whole checkpoint has for such a model and optimiser; None where there is none.

        A damaged one, or one whose best weights are damaged, is named in a warning and the one before is used. One of
        another training is not touched: its fingerprint differs, and the answer is None.
        """
        for folder in self._lasts():
            try:
                if read_manifest(folder).get("fingerprint") != self.fingerprint:
                    _log.warning("checkpoint %s is of other data or options: the training begins anew", folder)
                    return None
                return self._load(folder, model, optimizer)
            except ArtifactError as error:
                _log.warning("checkpoint %s: using the one before it", error)
        return None

    def load_best(self, model: Module, step: int) -> None:
        """Put the best weights into the model; `ArtifactError` if they are missing or damaged."""
        folder = self.path / _best_name(step)
        check_manifest(folder)
        model.load_state_dict(_read_model(folder / _MODEL, model))

    def _lasts(self) -> list[Path]:
        """The newest first."""
        return sorted(self.path.glob("last-[0-9]*-step-[0-9]*"), reverse=True)

    def _load(self, folder: Path, model: Module, optimizer: Optimizer) -> "Loaded":
        check_manifest(folder)
        state = _read_state(folder / _STATE)
        if state.best_step:
            check_manifest(self.path / _best_name(state.best_step))
        return Loaded(state, _read_model(folder / _MODEL, model), _read_optimizer(folder / _OPTIMIZER, optimizer))

    def _write(self, name: str, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
        def write(folder: Path) -> None:
            for file, content in tensors.items():
                save_tensors(content, folder / file)
            (folder / _STATE).write_text(json.dumps(state))
            write_manifest(folder, fingerprint=self.fingerprint)

        try:
            atomic_folder(self.path / name, write)
        except (OSError, SafetensorError) as error:
            size = sum(tensor.nbytes for content in tensors.values() for tensor in content.values())
            raise TrainingError(
                f"checkpoint {self.path / name} could not be written ({error}): it takes {size / 1e6:.0f} MB, and "
                f"{_free_mb(self.path):.0f} MB are free. The checkpoint before it is whole; make room and run the same "
                "command again, which goes on from there"
            ) from error


def _free_mb(path: Path) -> float:
    """On the disk of a folder, which may not have been made yet."""
    made = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return shutil.disk_usage(made).free / 1e6


def _best_name(step: int) -> str:
    return f"best-{step:08d}"


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write safetensors, in which tied weights stand once for every name that they have: the format shares nothing."""
    separate: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        kept = tensor.detach().cpu().contiguous()
        separate[name] = kept.clone() if kept.data_ptr() in taken else kept
        taken.add(separate[name].data_ptr())
    save_file(separate, path)


def _read_state(path: Path) -> TrainingState:
    try:
        state = json.loads(path.read_text())
        return TrainingState(**{**state, "loss_weights": tuple(state["loss_weights"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtifactError(f"checkpoint {path} is missing, damaged or of another version ({error!r})") from error


def _needed_by_newest(folders: Sequence[Path]) -> set[str]:
    """The newest of the earlier checkpoints and its best weights: what is used if the one after it is ever damaged."""
    for folder in folders:
        try:
            return {folder.name, _best_name(_read_state(folder / _STATE).best_step)}
        except ArtifactError:
            continue
    return set()


def _read_model(path: Path, model: Module) -> dict[str, Tensor]:
    """The weights, if they are those of such a model."""
    found, wanted = _read_tensors(path), model.state_dict()
    for name in sorted({*found, *wanted}):
        shapes = [tuple(tensors[name].shape) if name in tensors else None for tensors in (wanted, found)]
        if shapes[0] != shapes[1]:
            raise ArtifactError(f"checkpoint {path}: expected {name} of shape {shapes[0]}, got {shapes[1]}")
    return found


def _read_optimizer(path: Path, optimizer: Optimizer) -> dict[int, dict[str, Tensor]]:
    """The state of every parameter, if it is that of such an optimiser."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in _read_tensors(path).items():
        index, _, name = key.partition(".")
        place = int(index) if index.isdigit() else len(parameters)
        if place >= len(parameters) or value.shape not in ((), parameters[place].shape):
            raise ArtifactError(f"checkpoint {path}: {key} of shape {tuple(value.shape)} fits no parameter")
        slots.setdefault(place, {})[name] = value
    return slots


def _read_tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"checkpoint {path} is missing or damaged ({error})") from error


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    slots = ((f"{index}.{name}", value) for index, values in state.items() for name, value in values.items())
    return {key: torch.as_tensor(value) for key, value in slots}

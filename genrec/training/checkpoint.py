"""Checkpoints that survive a kill at any moment: written beside, checked by SHA-256, renamed, then the old ones go.

Weights and optimiser states are safetensors, everything else is JSON; nothing is unpickled.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from genrec.atomic_files import atomic_folder
from genrec.errors import ArtifactError
from genrec.fingerprints import file_fingerprint

_log = logging.getLogger(__name__)
_MODEL, _OPTIMIZER, _STATE, _MANIFEST = "model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"


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
    loss_weights: tuple[float, ...] = ()
    """Those of the next step, where the objective adapts them; (): no step has been done, or it does not."""
    finished: bool = False
    ended_by: Literal["", "epochs", "patience", "time"] = ""
    """What ended the training, once it has ended."""
    seconds: float = 0.0
    """Time spent so far, over all parts of a training that was interrupted."""
    cpu_seconds: float = 0.0
    """Processor time of this process in them, its threads added up."""

    def after_batch(self, loss_weights: tuple[float, ...]) -> "TrainingState":
        """The state one optimiser step later."""
        return replace(self, batch=self.batch + 1, step=self.step + 1, loss_weights=loss_weights)


class CheckpointFolder:
    """`last-<step>-<epoch>` to go on from, and `best-<step>`, the weights to keep."""

    def __init__(self, path: Path, *, fingerprint: str) -> None:
        self.path = path
        self.fingerprint = fingerprint

    def save_last(self, model: Module, optimizer: Optimizer, state: TrainingState) -> None:
        """Write all that is needed to go on from `state`, then drop what it makes superfluous."""
        tensors = {_MODEL: dict(model.state_dict()), _OPTIMIZER: _optimizer_tensors(optimizer)}
        # the epoch tells the end of an epoch from its last step, so that no name is ever written twice
        name = f"last-{state.step:08d}-{state.epoch:04d}"
        self._write(name, tensors, asdict(state))
        needed = {name, f"best-{state.best_step:08d}"}
        for old in [*self.path.glob("last-*"), *self.path.glob("best-*")]:
            if old.name not in needed:
                shutil.rmtree(old, ignore_errors=True)

    def save_best(self, model: Module, step: int) -> None:
        """Keep these weights as the best so far; the best before stays until `save_last` no longer needs it."""
        self._write(f"best-{step:08d}", {_MODEL: dict(model.state_dict())}, {})

    def load_last(self, model: Module, optimizer: Optimizer) -> TrainingState | None:
        """Put model and optimiser where the newest whole checkpoint left them; None where there is none.

        A damaged one is named in a warning and the one before is used. One of another training is not touched: its
        fingerprint differs, and the answer is None.
        """
        for folder in sorted(self.path.glob("last-*"), reverse=True):
            try:
                stored = _read_checked(folder)
            except ArtifactError as error:
                _log.warning("%s: using the checkpoint before it", error)
                continue
            if stored["fingerprint"] != self.fingerprint:
                return None
            model.load_state_dict(load_file(folder / _MODEL))
            _restore_optimizer(optimizer, load_file(folder / _OPTIMIZER))
            state = json.loads((folder / _STATE).read_text())
            return TrainingState(**{**state, "loss_weights": tuple(state["loss_weights"])})
        return None

    def load_best(self, model: Module, step: int) -> None:
        """Put the best weights into the model; `ArtifactError` if they are missing or damaged."""
        folder = self.path / f"best-{step:08d}"
        _read_checked(folder)
        model.load_state_dict(load_file(folder / _MODEL))

    def _write(self, name: str, tensors: dict[str, dict[str, Tensor]], state: dict[str, Any]) -> None:
        def write(folder: Path) -> None:
            for file, content in tensors.items():
                save_tensors(content, folder / file)
            (folder / _STATE).write_text(json.dumps(state))
            digests = {file: file_fingerprint(folder / file) for file in (*tensors, _STATE)}
            (folder / _MANIFEST).write_text(json.dumps({"fingerprint": self.fingerprint, "files": digests}))

        atomic_folder(self.path / name, write)


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write safetensors, in which tied weights stand once for every name that they have: the format shares nothing."""
    separate: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        kept = tensor.detach().cpu().contiguous()
        separate[name] = kept.clone() if kept.data_ptr() in taken else kept
        taken.add(separate[name].data_ptr())
    save_file(separate, path)


def _read_checked(folder: Path) -> dict[str, Any]:
    """The manifest, after every file that it lists was found whole."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text())
        for name, digest in manifest["files"].items():
            if file_fingerprint(folder / name) != digest:
                raise ArtifactError(f"checkpoint {folder / name} is damaged: its SHA-256 is not the recorded one")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArtifactError(f"checkpoint {folder} is not whole ({error})") from error
    return manifest


def _optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    slots = ((f"{index}.{name}", value) for index, values in state.items() for name, value in values.items())
    return {key: torch.as_tensor(value) for key, value in slots}


def _restore_optimizer(optimizer: Optimizer, tensors: dict[str, Tensor]) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": slots, "param_groups": optimizer.state_dict()["param_groups"]})

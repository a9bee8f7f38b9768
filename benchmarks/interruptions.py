"""What a training loses when it is killed: nothing but the steps since its last checkpoint.

    python -m benchmarks.interruptions --kills 100 --stops 20 --processes 1,2 --json FILE

Short trainings of the embedded world are ended at random moments, by SIGKILL or SIGTERM to all their processes, and
started again until they are done. Every second SIGKILL waits for a checkpoint that is being written; SIGTERM waits for
the first step. Each training's weights must be those of one that nobody disturbed, bit by bit.

Several processes are started one by one, as a cluster's scheduler does, so that each has an exit code of its own:
torchrun ends with 1 on SIGTERM, whatever its workers end with.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.machine import command_line, machine
from genrec.artifacts import RunFolder
from genrec.atomic_files import TEMPORARY, atomic_json
from genrec.fingerprints import file_fingerprint
from tokenizer.plain_tables import plain_table

INTERVAL = 20
"""Steps between checkpoints."""
WARMUP_STEPS = 100
OPTIONS = (
    "data.world.num_items=300",
    "data.world.num_users=600",
    "tokenizer.codebook_size=16",
    "generator.width=32",
    "generator.feed_forward_dim=64",
    "training.batch_size=16",
    "training.epochs=12",
    "training.validate_every_epochs=1",
    "training.patience=100",
    "training.log_every_steps=1",
    "training.loss.item_negatives=64",
    f"training.checkpoint_every_steps={INTERVAL}",
    f"training.optimizer.warmup_steps={WARMUP_STEPS}",
)
LONGEST_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.001

Processes = Sequence[subprocess.Popen[bytes]]


@dataclass
class Tally:
    """What was seen over all trainings of one kind."""

    interruptions: int = 0
    in_a_save: int = 0
    """Of those that hit while a checkpoint was being written."""
    trainings: int = 0
    steps_planned: int = 0
    steps_run: int = 0
    other_weights: int = 0
    """Trainings that ended with weights that are not those of the undisturbed one."""
    lost_seconds: int = 0
    """Parts that knew of fewer seconds than the one before."""
    exit_codes: Counter[int] = field(default_factory=Counter)
    """Of the processes, after SIGTERM."""
    phases: Counter[str] = field(default_factory=Counter)
    """What the training was at when SIGTERM came."""
    stop_seconds: list[float] = field(default_factory=list)
    """From SIGTERM to the end of the last process."""
    lost_after_stop: int = 0
    """Steps that were run again although SIGTERM had been sent."""

    def add(self, training: "Training", reference: "Reference") -> None:
        """Count a training that is done."""
        self.trainings += 1
        self.steps_planned += reference.steps
        self.steps_run += len(training.events("trained"))
        self.other_weights += training.weights() != reference.weights
        seconds = [event["seconds"] for event in training.events("resumed")] + [training.seconds()]
        self.lost_seconds += sum(later < earlier for earlier, later in pairwise(seconds))
        for event, after in pairwise(training.events("trained", "stopped", "resumed")):
            if event["event"] == "stopped":
                self.phases["warm-up" if event["step"] < WARMUP_STEPS else event["during"]] += 1
                self.lost_after_stop += event["step"] - after["step"]

    def failures(self) -> list[str]:
        """What must not have happened."""
        most = self.steps_planned + self.interruptions * INTERVAL
        slowest = max(self.stop_seconds, default=0.0)
        found = {
            f"{self.other_weights} of {self.trainings} trainings ended with other weights": self.other_weights,
            f"{self.steps_run} steps were run, at most {most} expected": self.steps_run > most,
            f"{self.lost_seconds} parts had lost seconds": self.lost_seconds,
            f"{self.lost_after_stop} steps were lost after SIGTERM": self.lost_after_stop,
            f"exit codes {dict(self.exit_codes)}, 143 expected": set(self.exit_codes) - {128 + signal.SIGTERM},
            f"{slowest:.1f} s to stop, at most {LONGEST_STOP_SECONDS:.0f} expected": slowest > LONGEST_STOP_SECONDS,
        }
        return [text for text, is_true in found.items() if is_true]


class Training:
    """One training of a prepared run, which is started again and again until it is done."""

    def __init__(self, folder: Path, processes: int) -> None:
        self.run = RunFolder(folder)
        self.processes = processes

    def started(self) -> list[subprocess.Popen[bytes]]:
        """The processes of a new part of it."""
        together = {"WORLD_SIZE": str(self.processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        with (self.run.path / "stderr.txt").open("ab") as errors:
            return [
                subprocess.Popen(
                    [sys.executable, "-m", "genrec", "train", self.run.path],
                    env={
                        **os.environ,
                        "OMP_NUM_THREADS": "1",
                        **({**together, "RANK": str(rank), "LOCAL_RANK": str(rank)} if self.processes > 1 else {}),
                    },
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                )
                for rank in range(self.processes)
            ]

    @property
    def is_done(self) -> bool:
        """Whether the stage is recorded."""
        return self.run.manifest("train") is not None

    def weights(self) -> str:
        """Fingerprint of what it learnt."""
        return file_fingerprint(self.run.generator / "model.safetensors")

    def seconds(self) -> float:
        """Of all its parts together, as it has them."""
        manifest = self.run.manifest("train")
        assert manifest is not None
        return manifest.seconds

    def events(self, *names: str) -> list[dict[str, Any]]:
        """Of its log; all without names. A line that is being written is not one yet."""
        lines = self.run.log.read_text().splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if not names or event["event"] in names]

    def is_saving(self) -> bool:
        """Whether a checkpoint is half written at this moment."""
        with suppress(FileNotFoundError):  # made by the first save, and removed when the training is recorded
            return any(entry.name.startswith(TEMPORARY) for entry in (self.run.path / "checkpoints").iterdir())
        return False


def main() -> None:
    """Interrupt, print the tallies, write the JSON; exit code 1 if anything was lost."""
    options = _parser().parse_args()
    chance = random.Random(options.seed)
    report: dict[str, Any] = {"command": command_line("benchmarks.interruptions"), **machine()}
    failures = []
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepared_run(Path(scratch) / "prepared")
        for processes in map(int, options.processes.split(",")):
            reference = undisturbed(prepared, Path(scratch) / f"reference-{processes}", processes)
            for kind, count in (("SIGKILL", options.kills), ("SIGTERM", options.stops)):
                if not count:
                    continue
                tally = interrupted(prepared, Path(scratch) / "run", reference, kind, count, chance)
                key = f"{kind}, {processes} process{'es' * (processes > 1)}"
                report[key] = {**vars(tally), "failures": tally.failures()}
                failures += [f"{key}: {text}" for text in tally.failures()]
                print_tally(key, tally)
                if options.json:
                    atomic_json(options.json, report)
    if failures:
        raise SystemExit("\n".join(failures))


@dataclass(frozen=True)
class Reference:
    """A training that nobody disturbed."""

    processes: int
    weights: str
    steps: int
    seconds: float
    """From the start of the process to its end."""


def prepared_run(folder: Path) -> Path:
    """All stages before the training."""
    command = [sys.executable, "-m", "genrec", "index", "demo", *OPTIONS, "--out", str(folder)]
    subprocess.run(command, check=True)
    return folder


def undisturbed(prepared: Path, folder: Path, processes: int) -> Reference:
    """The training that all others must equal."""
    shutil.copytree(prepared, folder)
    training, began = Training(folder, processes), time.monotonic()
    if any(ended(training.started())) or not training.is_done:
        raise SystemExit((folder / "stderr.txt").read_text()[-3000:])
    seconds = time.monotonic() - began
    return Reference(processes, training.weights(), len(training.events("trained")), seconds)


def interrupted(
    prepared: Path, folder: Path, reference: Reference, kind: str, count: int, chance: random.Random
) -> Tally:
    """Trainings, one after the other, until they have been interrupted so many times."""
    tally = Tally()
    while tally.interruptions < count:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(prepared, folder)
        training = Training(folder, reference.processes)
        while not training.is_done:
            processes = training.started()
            if kind == "SIGTERM":
                wait_for_the_first_event(training, processes)
            if tally.interruptions < count and are_alive_after(processes, chance.uniform(0, reference.seconds)):
                (kill if kind == "SIGKILL" else stop)(training, processes, tally)
            elif any(ended(processes)):
                raise SystemExit((folder / "stderr.txt").read_text()[-3000:])
        tally.add(training, reference)
    return tally


def free_port() -> int:
    """A port that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ended(processes: Processes) -> list[int]:
    """Exit codes, when all have ended."""
    return [process.wait() for process in processes]


def are_alive(processes: Processes) -> bool:
    """Whether none has ended."""
    return all(process.poll() is None for process in processes)


def wait_for_the_first_event(training: Training, processes: Processes) -> None:
    """Until the training has begun, or gone on: before that there is nothing to save."""
    before = len(training.events())
    while are_alive(processes) and len(training.events()) == before:
        time.sleep(_POLL_SECONDS)


def are_alive_after(processes: Processes, seconds: float) -> bool:
    """Whether all still run then."""
    with suppress(subprocess.TimeoutExpired):
        processes[0].wait(timeout=seconds)
    return are_alive(processes)


def kill(training: Training, processes: Processes, tally: Tally) -> None:
    """SIGKILL to all its processes; every second time when the next checkpoint is half written."""
    while tally.interruptions % 2 and are_alive(processes) and not training.is_saving():
        time.sleep(_POLL_SECONDS)
    if are_alive(processes):
        tally.in_a_save += training.is_saving()
        tally.interruptions += 1
        for process in processes:
            process.kill()
    ended(processes)


def stop(training: Training, processes: Processes, tally: Tally) -> None:
    """SIGTERM to all its processes; nothing if it is done already."""
    if training.is_done:
        ended(processes)
        return
    began = time.monotonic()
    for process in processes:
        process.terminate()
    tally.exit_codes.update(ended(processes))
    tally.stop_seconds.append(time.monotonic() - began)
    tally.interruptions += 1


def print_tally(name: str, tally: Tally) -> None:
    """One line each."""
    figures = {
        "interruptions": f"{tally.interruptions}, {tally.in_a_save} of them in a save",
        "trainings": f"{tally.trainings}, {tally.other_weights} with other weights",
        "steps": f"{tally.steps_run} run, {tally.steps_planned} planned",
    }
    if tally.stop_seconds:
        median = statistics.median(tally.stop_seconds)
        figures["seconds to stop"] = f"{median:.1f} at the median, {max(tally.stop_seconds):.1f} at most"
        figures["exit codes"] = ", ".join(f"{code}: {times}" for code, times in sorted(tally.exit_codes.items()))
        figures["stopped during"] = ", ".join(f"{phase}: {times}" for phase, times in sorted(tally.phases.items()))
    print(plain_table((name, ""), list(figures.items())), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What a training loses when it is killed or stopped.")
    parser.add_argument("--kills", type=int, default=100, help="for each number of processes")
    parser.add_argument("--stops", type=int, default=20, help="the same for SIGTERM")
    parser.add_argument("--processes", default="1,2")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

"""A catalogue that changes while it is decoded: is every list right for its version, and what do the changes cost?

    python -m benchmarks.versions [--rows 1000000] [--seconds 60] [--json FILE]

One thread decodes without a pause, with a model whose logits are drawn beforehand. Another inserts and deletes single
rows, evenly spread over the time. Every list is checked twice: by the version that it was decoded on (its rows are
there, different, and as many as asked for), and by a ledger of when each row came and went, which asks no trie.
"""

import argparse
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from benchmarks.machine import command_line, machine
from genrec.atomic_files import atomic_json
from genrec.generator.beam_search import beam_search
from trie import PrefixTrie, TrieVersion, VersionedTrie

LEVEL_SIZES = (256, 256, 256, 256)
_SKEW = 1.5
"""Codes are 256 * uniform**1.5, so that low ones are frequent."""
_COPIES = 0.02
"""Share of rows that have another one's codes, so that leaves are shared."""
_DRAWN = 64
"""Different logits per level, taken in turn."""


@dataclass(frozen=True)
class Load:
    """What is done, and for how long."""

    rows: int = 1_000_000
    seconds: float = 60.0
    inserts: int = 1000
    deletes: int = 1000
    batch_size: int = 8
    beam_size: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rows < self.deletes + self.beam_size:
            raise ValueError(f"{self.deletes} deletes must leave a list of {self.beam_size}; got {self.rows} rows")


class DrawnLogits:
    """A model that costs next to nothing: twice the standard normal distribution, drawn beforehand."""

    def __init__(self, load: Load):
        random = torch.Generator().manual_seed(load.seed)
        beams = (1, *[load.beam_size] * (len(LEVEL_SIZES) - 1))
        self._logits = [
            torch.randn(_DRAWN, load.batch_size, number, size, generator=random) * 2
            for number, size in zip(beams, LEVEL_SIZES, strict=True)
        ]

    def read_history(self, history: Tensor) -> int:
        """Which logits to take."""
        return int(history[0, 0]) % _DRAWN

    def next_code_logits(
        self, read: int, written: int | None, *, codes: Tensor | None = None, parents: Tensor | None = None
    ) -> tuple[Tensor, int]:
        """Those of the next level, for as many beams as there are."""
        level = written or 0
        return self._logits[level][read, :, : 1 if codes is None else codes.shape[1]], level + 1


class Answer(NamedTuple):
    """One batch of lists."""

    version: int
    rows: Int64[ndarray, "batch beams"]
    is_right: Bool[ndarray, " batch"]
    """By the version: every row is in it, once, and there are as many as asked for."""
    seconds: float


class Change(NamedTuple):
    """A row, the first version that has it or lacks it, and the seconds until that was visible."""

    row: int
    version: int
    seconds: float


@dataclass
class Ledger:
    """What was changed."""

    inserted: list[Change] = field(default_factory=list)
    deleted: list[Change] = field(default_factory=list)

    def num_invalid(self, answers: Sequence[Answer], *, num_rows: int) -> int:
        """How many lists are wrong by the version, or have a row that had not come or was gone in it.

        `num_rows`: how many there ever were.
        """
        came, gone = np.zeros(num_rows, dtype=np.int64), np.full(num_rows, np.iinfo(np.int64).max)
        came[[done.row for done in self.inserted]] = [done.version for done in self.inserted]
        gone[[done.row for done in self.deleted]] = [done.version for done in self.deleted]
        invalid = 0
        for answer in answers:
            had = (came[answer.rows] <= answer.version) & (answer.version < gone[answer.rows])
            invalid += int(np.count_nonzero(~(answer.is_right & had.all(axis=1))))
        return invalid


def main() -> None:
    """Measure, print the figures, write the JSON."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    load = Load(rows=options.rows, seconds=options.seconds, inserts=options.inserts, deletes=options.deletes)
    report = {**measure(load), "about": {"command": command_line("benchmarks.versions"), **machine(), **asdict(load)}}
    for name, figure in report.items():
        if name != "about":
            print(f"{name:<32}{_readable(figure)}")
    if options.json:
        atomic_json(options.json, report)
    if report["invalid_lists"]:
        raise SystemExit(f"{report['invalid_lists']} lists are not right for their version")


def measure(load: Load) -> dict[str, Any]:
    """Figures of one run; times are in seconds, lists are counted one by one."""
    random = np.random.default_rng(load.seed)
    codes = made_codes(load.rows + load.inserts, random)
    model, ledger = DrawnLogits(load), Ledger()
    with VersionedTrie(PrefixTrie.from_codes(codes[: load.rows], level_sizes=LEVEL_SIZES)) as catalogue:
        answers_until(_after(load.seconds / 20), catalogue, model, load)  # warm up
        before = answers_until(_after(load.seconds / 4), catalogue, model, load)
        changer = threading.Thread(target=change, args=(catalogue, codes[load.rows :], ledger, load, random))
        changer.start()
        meanwhile = answers_until(lambda: not changer.is_alive(), catalogue, model, load)
    after = answers_until(_after(load.seconds / 4), catalogue, model, load)
    lists = before + meanwhile + after
    return {
        "lists": load.batch_size * len(lists),
        "lists_while_changing": load.batch_size * len(meanwhile),
        "invalid_lists": ledger.num_invalid(lists, num_rows=len(codes)),
        "versions_made": catalogue.current.number - 1,
        "versions_answered": len({answer.version for answer in lists}),
        "builds": len({done.version for done in ledger.inserted}),
        "rows_at_the_end": catalogue.current.num_rows,
        "insert_seconds_until_visible": spread([done.seconds for done in ledger.inserted]),
        "delete_seconds_until_visible": spread([done.seconds for done in ledger.deleted]),
        "decode_seconds_before": spread([answer.seconds for answer in before]),
        "decode_seconds_while_changing": spread([answer.seconds for answer in meanwhile]),
        "decode_seconds_after": spread([answer.seconds for answer in after]),
    }


def made_codes(num_rows: int, random: np.random.Generator) -> UInt8[ndarray, "rows levels"]:
    """Skewed codes, some of them alike."""
    codes = (256 * random.random((num_rows, len(LEVEL_SIZES))) ** _SKEW).astype(np.uint8)
    copies = random.random(num_rows) < _COPIES
    codes[copies] = codes[random.integers(0, num_rows, int(copies.sum()))]
    return codes


def answers_until(
    is_over: Callable[[], bool], catalogue: VersionedTrie, model: DrawnLogits, load: Load
) -> list[Answer]:
    """Decode, and check each batch against the version that it was decoded on."""
    answers = []
    while not is_over():
        history = torch.tensor([[len(answers)]])
        started = time.perf_counter()
        version = catalogue.current
        leaves = beam_search(
            model,
            version.view,
            model.read_history(history),
            batch_size=load.batch_size,
            beam_size=load.beam_size,
        )
        seconds = time.perf_counter() - started
        rows = leaves.row.numpy()
        are_different = (np.diff(np.sort(rows, axis=1), axis=1) > 0).all(axis=1)
        is_right = version.holds(rows.ravel()).reshape(rows.shape).all(axis=1) & are_different
        answers.append(Answer(version.number, rows, is_right & (rows.shape[1] == load.beam_size), seconds))
    return answers


def change(
    catalogue: VersionedTrie,
    codes: UInt8[ndarray, "new levels"],
    ledger: Ledger,
    load: Load,
    random: np.random.Generator,
) -> None:
    """Insert and delete single rows at even intervals; deletes take any row, also one that still waits."""
    rows = list(range(load.rows))
    inserts = [((number + 0.5) / load.inserts, number) for number in range(load.inserts)]
    deletes = [((number + 1) / load.deletes, None) for number in range(load.deletes)]
    begun = time.perf_counter()
    for share, number in sorted(inserts + deletes, key=lambda planned: planned[0]):
        time.sleep(max(0.0, begun + share * load.seconds - time.perf_counter()))
        started = time.perf_counter()
        if number is None:
            place = int(random.integers(len(rows)))
            rows[place], rows[-1] = rows[-1], rows[place]
            version = catalogue.delete([rows[-1]]).number
            ledger.deleted.append(Change(rows.pop(), version, time.perf_counter() - started))
        else:
            insertion = catalogue.insert(codes[number : number + 1])
            rows.append(int(insertion.rows[0]))
            insertion.version.add_done_callback(partial(_note_insert, ledger, rows[-1], started))


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 99th percentile and longest."""
    median, p99, longest = np.percentile(seconds, [50, 99, 100]).tolist()
    return {"median": median, "p99": p99, "longest": longest}


def _note_insert(ledger: Ledger, row: int, started: float, version: "Future[TrieVersion]") -> None:
    # the number alone: a version that is kept keeps its whole trie
    ledger.inserted.append(Change(row, version.result().number, time.perf_counter() - started))


def _after(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds have gone by since this call."""
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def _readable(figure: int | dict[str, float]) -> str:
    if isinstance(figure, int):
        return f"{figure:,}"
    return "   ".join(f"{name} {1e3 * seconds:.3f} ms" for name, seconds in figure.items())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.versions", description="Changes while decoding.")
    parser.add_argument("--rows", type=int, default=Load.rows)
    parser.add_argument("--seconds", type=float, default=Load.seconds, help="that the changes are spread over")
    parser.add_argument("--inserts", type=int, default=Load.inserts)
    parser.add_argument("--deletes", type=int, default=Load.deletes)
    parser.add_argument("--threads", type=int, default=1, help="of torch, for the decoding")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

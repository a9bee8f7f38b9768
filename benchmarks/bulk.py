"""Bulk recommendation by Ray, whose workers are killed, beside the same work in one process: equal parts, nobody twice.

    python -m benchmarks.bulk RUN --users 20_000 --parts 20 --kills 3 --json FILE

The histories are those of the run's users, each cut off at a random place and taken as often as it needs. Workers get
SIGKILL when a share of the parts has appeared. Needs genrec[ray].
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from benchmarks.machine import command_line, machine
from genrec.atomic_files import atomic_json
from genrec.data.prepared import read_prepared
from tokenizer.plain_tables import plain_table

_POLL_SECONDS = 0.05


def main() -> None:
    """Recommend twice, compare, print, write the JSON; exit code 1 if the parts are not the same."""
    options = _parser().parse_args()
    report: dict[str, Any] = {"command": command_line("benchmarks.bulk"), **machine()}
    with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
        histories = write_histories(options.run, Path(scratch) / "histories", options.users, options.parts)
        alone, by_ray = Path(scratch) / "alone", Path(scratch) / "ray"
        report |= {"users": options.users, "parts": options.parts, "workers": options.workers}
        report["seconds"] = recommended(options.run, histories, alone, ["--threads", "1"])
        killer = Killer(by_ray, options.parts, options.kills)
        killer.start()
        report["seconds_by_ray"] = recommended(options.run, histories, by_ray, ["--workers", str(options.workers)])
        killer.over.set()
        killer.join()
        report |= {"kills_after_parts": killer.after_parts, **compared(alone, by_ray, options.users)}
    failures = failures_of(report, options.kills)
    report["failures"] = failures
    rows = [(name, str(value)) for name, value in report.items() if name not in {"command", "python", "torch"}]
    print(plain_table(("", "bulk recommendation"), rows))
    if options.json:
        atomic_json(options.json, report)
    if failures:
        raise SystemExit("\n".join(failures))


def write_histories(run: Path, folder: Path, num_users: int, num_parts: int) -> Path:
    """JSON lines of made users in as many files; the folder."""
    interactions, chance = read_prepared(run).interactions, random.Random(0)
    folder.mkdir()
    for part, numbers in enumerate(np.array_split(np.arange(num_users), num_parts)):
        with (folder / f"part-{part:03d}.jsonl").open("w", encoding="utf-8") as file:
            for number in numbers.tolist():
                items = interactions.of(number % interactions.num_users)
                read = interactions.item_ids[items[: chance.randint(1, len(items))]].tolist()
                file.write(json.dumps({"user_id": f"u{number}", "item_ids": read}) + "\n")
    return folder


def recommended(run: Path, histories: Path, out: Path, options: list[str]) -> float:
    """Seconds of the command, its start included."""
    command = [sys.executable, "-m", "genrec", "bulk", "recommend", str(run), str(histories), str(out), *options]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    return time.monotonic() - began


class Killer(threading.Thread):
    """Kills a worker of Ray whenever one more share of the parts has appeared."""

    def __init__(self, out: Path, parts: int, kills: int) -> None:
        super().__init__(daemon=True)
        self.out = out
        self.due = [(number + 1) * parts // (kills + 1) for number in range(kills)]
        self.after_parts: list[int] = []
        """How many parts were there when each of them was killed."""
        self.over = threading.Event()
        """Set when nothing is left to kill."""
        self._others = set(workers_of_ray())

    def run(self) -> None:
        """Until all are killed, or the work is over."""
        for due in self.due:
            workers: list[int] = []
            while (done := len(list(self.out.glob("[!.]*.parquet")))) < due or not workers:
                if self.over.wait(_POLL_SECONDS):
                    return
                workers = [pid for pid in workers_of_ray() if pid not in self._others]
            os.kill(random.Random(due).choice(workers), signal.SIGKILL)
            self.after_parts.append(done)


def workers_of_ray() -> list[int]:
    """Process ids of this user's workers that do parts."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if b"ray::MapWorker" in (entry / "cmdline").read_bytes() and entry.stat().st_uid == os.getuid():
                found.append(int(entry.name))
        except OSError:  # it has ended meanwhile
            continue
    return found


def compared(alone: Path, by_ray: Path, num_users: int) -> dict[str, Any]:
    """Which parts are the same byte for byte, and how often users come."""
    names = sorted(path.name for path in alone.glob("[!.]*.parquet"))
    other = [name for name in names if not _same(alone / name, by_ray / name)]
    more = [path.name for path in by_ray.glob("[!.]*.parquet") if path.name not in names]
    query = f"SELECT count(*), count(DISTINCT user_id) FROM read_parquet('{by_ray}/*.parquet')"
    (lists, users) = duckdb.execute(query).fetchall()[0]
    return {"equal_parts": len(names) - len(other), "other_parts": [*other, *more], "lists": lists, "distinct": users}


def failures_of(report: dict[str, Any], kills: int) -> list[str]:
    """What must not have happened."""
    found = {
        f"other parts: {', '.join(report['other_parts'])}": bool(report["other_parts"]),
        f"{report['equal_parts']} equal parts of {report['parts']}": report["equal_parts"] != report["parts"],
        f"{report['lists']} lists of {report['distinct']} users, not of {report['users']}": (
            (report["lists"], report["distinct"]) != (report["users"], report["users"])
        ),
        f"{len(report['kills_after_parts'])} of {kills} kills": len(report["kills_after_parts"]) != kills,
    }
    return [text for text, is_true in found.items() if is_true]


def _same(first: Path, second: Path) -> bool:
    return second.is_file() and first.read_bytes() == second.read_bytes()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Bulk recommendation by Ray beside one process, with workers killed.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--parts", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="folder for what is made; by default the system's")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

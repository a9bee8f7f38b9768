"""What a server costs beside its engine, how long its answers take, and what it does with more than it can answer.

    python -m benchmarks.serving RUN --json FILE

The server (`genrec serve`) has one core and one thread, the load another core. Every call has one history, of the
run's test users. Figures of one run belong together; the engine is measured between the server's turns, on its core.
"""

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.exact import test_histories
from benchmarks.http_load import Load, as_fast_as_answered, at_rate, request
from benchmarks.machine import command_line, machine
from benchmarks.own_process import measure_in_own_process
from genrec.atomic_files import atomic_json
from tokenizer.plain_tables import plain_table

SHARES = (0.25, 0.5, 0.75)
OVERLOAD = 5
BATCH = 64
CONNECTIONS = 2 * BATCH
"""Of the turns at full speed: as many calls wait as are searched, so that batches are full."""
FULL_SPEED = 0.95
_WINDOW_SECONDS = 0.25
_SERVER_CORE, _LOAD_CORE = 0, 1


@dataclass(frozen=True)
class Server:
    """A server that runs."""

    pid: int
    port: int

    def cpu_seconds(self) -> float:
        """Of all its threads, since its start."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Its memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Measure, print a table, write the JSON."""
    options = _parser().parse_args()
    histories = test_histories(options.run, None)
    bodies = [json.dumps({"history": history, "k": 10}).encode() for history in histories]
    calls = [request("POST", "/v1/recommend", body) for body in bodies]
    os.sched_setaffinity(0, {_LOAD_CORE})
    with served(options.run) as server:
        report = {"command": command_line("benchmarks.serving"), **machine(), **measured(server, calls, options)}
    print_figures(report)
    if options.json:
        atomic_json(options.json, report)


def measured(server: Server, calls: Sequence[bytes], options: argparse.Namespace) -> dict[str, Any]:
    """All figures of one server."""
    asyncio.run(as_fast_as_answered(server.port, calls, connections=CONNECTIONS, seconds=options.warm_up_seconds))
    turns = [turn(server, calls, options) for _ in range(options.turns)]
    capacity = statistics.median(each["users_per_second"] for each in turns)
    figures: dict[str, Any] = {
        "turns": turns,
        "users_per_second": capacity,
        "cpu_ms_per_user": statistics.median(each["cpu_ms_per_user"] for each in turns),
        "engine_cpu_ms_per_user": statistics.median(each["engine_cpu_ms_per_user"] for each in turns),
        "cpu_over_engine": statistics.median(each["cpu_over_engine"] for each in turns),
        "load": {},
    }
    for share in SHARES:
        load = asyncio.run(
            at_rate(server.port, calls, rate=share * capacity, seconds=options.seconds, seed=options.seed)
        )
        figures["load"][str(share)] = told(load)
    return {**figures, "overload": asyncio.run(overloaded(server, calls, capacity, options))}


def turn(server: Server, calls: Sequence[bytes], options: argparse.Namespace) -> dict[str, float]:
    """The server at full speed, and then its engine."""
    before = server.cpu_seconds()
    load = asyncio.run(as_fast_as_answered(server.port, calls, connections=CONNECTIONS, seconds=options.seconds))
    cpu_ms = 1000 * (server.cpu_seconds() - before) / load.answered
    job = {"run": str(options.run), "users": options.engine_users}
    engine_ms = measure_in_own_process("benchmarks.serving_engine", job, threads=1)["cpu_ms_per_user"]
    return {
        "users_per_second": load.answered / load.seconds,
        "cpu_ms_per_user": cpu_ms,
        "engine_cpu_ms_per_user": engine_ms,
        "cpu_over_engine": cpu_ms / engine_ms,
    }


async def overloaded(
    server: Server, calls: Sequence[bytes], capacity: float, options: argparse.Namespace
) -> dict[str, Any]:
    """Several times what it can answer, its memory meanwhile, and its speed right after that."""
    memory, sampling = [server.resident_mb()], True

    async def sample() -> None:
        while sampling:
            await asyncio.sleep(1)
            memory.append(server.resident_mb())

    sampler = asyncio.create_task(sample())
    rate = OVERLOAD * capacity
    load = await at_rate(server.port, calls, rate=rate, seconds=options.overload_seconds, seed=options.seed)
    sampling = False
    await sampler
    after = await as_fast_as_answered(server.port, calls, connections=CONNECTIONS, seconds=options.seconds)
    rates = after.rates(_WINDOW_SECONDS).tolist()
    return {
        **told(load),
        "calls_per_second": rate,
        "resident_mb": memory,
        "after": {
            "users_per_second": after.answered / after.seconds,
            "rates": rates,
            "window_seconds": _WINDOW_SECONDS,
            "statuses": dict(after.statuses),
            "seconds_to_full_speed": seconds_to_full_speed(rates, after.answered / after.seconds),
        },
    }


def seconds_to_full_speed(rates: Sequence[float], usual: float) -> float:
    """When the calls answered until then, less those of the first window, have come at the usual rate; inf: never.

    Answers come batch by batch, so that a single window says little.
    """
    for last in range(1, len(rates)):
        if statistics.fmean(rates[1 : last + 1]) >= FULL_SPEED * usual:
            return (last + 1) * _WINDOW_SECONDS
    return float("inf")


def told(load: Load) -> dict[str, Any]:
    """Figures of one load."""
    refused = sorted(load.refused_latencies)
    return {
        "statuses": {str(status): count for status, count in sorted(load.statuses.items())},
        "answered_per_second": load.answered / load.seconds,
        "p50_ms": load.latency_ms(0.5),
        "p99_ms": load.latency_ms(0.99),
        "longest_ms": load.latency_ms(1.0),
        "refused_p99_ms": 1000 * refused[int(0.99 * (len(refused) - 1))] if refused else None,
    }


@contextmanager
def served(run: Path, *, threads: int = 1, core: int | None = _SERVER_CORE) -> Iterator[Server]:
    """A server of the run, on one core or on all, ready; ended by SIGTERM after the block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    on_core = [] if core is None else ["taskset", "-c", str(core)]
    process = subprocess.Popen(
        [*on_core, sys.executable, "-m", "genrec", "serve", str(run), "--port", str(port), "--threads", str(threads)],
        env={**os.environ, "OMP_NUM_THREADS": str(threads)},
    )
    try:
        _wait_until_ready(process, port)
        yield Server(process.pid, port)
    finally:
        process.terminate()
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server did not start")


def print_figures(report: dict[str, Any]) -> None:
    """What it costs, and a line for each load."""
    print(
        f"{report['users_per_second']:.0f} users/s at full speed; ms of CPU a user: {report['cpu_ms_per_user']:.2f}, "
        f"of the engine in batches of {BATCH} {report['engine_cpu_ms_per_user']:.2f}; "
        f"{report['cpu_over_engine']:.2f} times as many"
    )
    overload = report["overload"]
    loads = {**{f"{float(share):.0%}": load for share, load in report["load"].items()}, f"{OVERLOAD}x": overload}
    lines = [
        (
            name,
            f"{load['answered_per_second']:.0f}",
            f"{load['p50_ms']:.1f}",
            f"{load['p99_ms']:.1f}",
            f"{load['longest_ms']:.1f}",
            ", ".join(f"{status}: {count}" for status, count in load["statuses"].items()),
        )
        for name, load in loads.items()
    ]
    print(plain_table(("load", "answered/s", "p50 ms", "p99 ms", "longest ms", "statuses"), lines))
    memory, after = overload["resident_mb"], overload["after"]
    print(
        f"memory in the overload: {memory[0]:.0f} MB before, {max(memory):.0f} at most, {memory[-1]:.0f} after; "
        f"after it {after['users_per_second']:.0f} users/s, full speed within {after['seconds_to_full_speed']:.2f} s"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="What a server costs beside its engine, and what it bears.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--turns", type=int, default=5, help="at full speed, the engine between them")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn and each load")
    parser.add_argument("--warm-up-seconds", type=float, default=3.0)
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    parser.add_argument("--engine-users", type=int, default=64 * BATCH)
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which calls are due")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

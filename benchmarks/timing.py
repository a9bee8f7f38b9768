"""Seconds of something that is done several times."""

import statistics
import time
from collections.abc import Callable
from typing import Any


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes once."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def timed(name: str, work: Callable[[], object], runs: int) -> dict[str, Any]:
    """The median seconds as `NAME_seconds`, and those of every run as `NAME_seconds_of_runs`."""
    seconds = [seconds_of(work) for _ in range(runs)]
    return {f"{name}_seconds": statistics.median(seconds), f"{name}_seconds_of_runs": seconds}

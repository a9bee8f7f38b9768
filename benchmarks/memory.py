"""Memory of this process, from /proc/self (Linux).

getrusage's ru_maxrss would not do: a child starts with its parent's, so that a small child of a large parent shows none
of its own growth.
"""

import threading
from pathlib import Path
from types import TracebackType

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def resident_mb() -> float:
    """Memory in RAM now, pages of mapped files included, in MB of 10^6 bytes."""
    return _status_mb("VmRSS")


def peak_resident_mb() -> float:
    """The largest `resident_mb` since the start, or since `reset_peak`."""
    return _status_mb("VmHWM")


def anonymous_mb() -> float:
    """Memory in RAM that is no file's: what arrays take, mapped ones apart."""
    return _status_mb("RssAnon")


def reset_peak() -> None:
    """Let `peak_resident_mb` start anew; where that is not allowed, it goes on counting from the start."""
    try:
        _RESET.write_text("5")
    except OSError:
        return


class AnonymousPeak:
    """`with AnonymousPeak() as memory: ...`; then `memory.grown_mb` is the peak of `anonymous_mb` over its start."""

    def __init__(self, *, every_seconds: float = 0.02) -> None:
        self.every_seconds = every_seconds
        self.start_mb = self.peak_mb = anonymous_mb()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    @property
    def grown_mb(self) -> float:
        """Peak less start."""
        return self.peak_mb - self.start_mb

    def __enter__(self) -> "AnonymousPeak":
        self.start_mb = self.peak_mb = anonymous_mb()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        stopped = False
        while not stopped:
            stopped = self._stop.wait(self.every_seconds)
            self.peak_mb = max(self.peak_mb, anonymous_mb())


def _status_mb(name: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError(f"{_STATUS} has no {name}; memory is measured on Linux only")

"""Requests to end: SIGTERM, as clusters and containers send it, and SIGINT, which is Ctrl-C.

Exit codes are those of a shell: 128 and the signal's number, 143 and 130.
"""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SAME_REQUEST_SECONDS = 5.0


class StopRequest:
    """What this process has been asked."""

    def __init__(self) -> None:
        self.signal = 0
        """Its number; 0: nothing yet."""


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Inside, a signal is noted instead of obeyed. One that comes more than five seconds later is obeyed at once.

    Launchers pass on what their workers have been sent already, so what comes sooner is taken for the same request.
    Signals that the program ignores, as shells make it ignore SIGINT in the background, stay ignored.
    Python hands signals to the main thread alone: in any other nothing is noted, and the program's handlers stay.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    handlers = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    before = {number: handler for number, handler in handlers.items() if handler != signal.SIG_IGN}

    first_at = math.inf

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal first_at
        if time.monotonic() > first_at + _SAME_REQUEST_SECONDS:
            end(number)
        if not request.signal:
            request.signal, first_at = number, time.monotonic()

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def end_on_sigterm() -> None:
    """From now on SIGTERM unwinds the program as an error does, so that locks are released and half files removed."""
    signal.signal(signal.SIGTERM, lambda number, frame: end(number))


def end(number: int) -> NoReturn:
    """End the program as the signal asks."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)

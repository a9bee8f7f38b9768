"""Calls to an HTTP server: at a rate, whatever the answers, or as fast as answers come.

Written for measuring: one process sends thousands of prepared calls a second over kept connections, so that it takes
little from the machine that it shares with the server. Latency counts from the moment at which a call was due, so
that a server which stalls is not spared the calls that it kept waiting.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

OnAnswer = Callable[[int, bytes], None]
LONGEST_WAIT_SECONDS = 30.0
_END_OF_HEAD = b"\r\n\r\n"


@dataclass
class Load:
    """What came of the calls."""

    statuses: Counter[int] = field(default_factory=Counter)
    """0: the connection was lost."""
    answered_at: list[float] = field(default_factory=list)
    """Of the calls that got 200: seconds since the beginning."""
    latencies: list[float] = field(default_factory=list)
    """Of the same, in seconds."""
    refused_latencies: list[float] = field(default_factory=list)
    """Of the others."""
    seconds: float = 0.0

    @property
    def answered(self) -> int:
        """How many got 200."""
        return self.statuses[200]

    def latency_ms(self, share: float) -> float:
        """The latency within which this share of the calls that got 200 was answered."""
        return 1000 * float(np.quantile(self.latencies, share)) if self.latencies else float("nan")

    def rates(self, window_seconds: float) -> Float64[ndarray, " windows"]:
        """Calls a second that got 200, window by window; the last, unfinished one is left out."""
        edges = np.arange(0, self.seconds + 1e-9, window_seconds)
        return np.histogram(self.answered_at, edges)[0] / window_seconds


def request(method: str, path: str, body: bytes, *, headers: str = "") -> bytes:
    """The bytes of a call. `headers`: lines that each end in CRLF."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


class Connection(asyncio.Protocol):
    """One call at a time, over one connection."""

    is_ending = False
    """Whether the server has said that it takes no further call on it."""

    def __init__(self, on_lost: "Callable[[Connection], None]") -> None:
        self._on_lost = on_lost
        self._on_answer: OnAnswer | None = None
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def send(self, call: bytes, on_answer: OnAnswer) -> None:
        """Send it; `on_answer` is told the status and the body, or status 0."""
        assert self._transport is not None and self._on_answer is None
        self._on_answer = on_answer
        self._transport.write(call)

    def close(self) -> None:
        """End it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._received += data
        end = self._received.find(_END_OF_HEAD)
        if end < 0:
            return
        head = self._received[:end].lower()
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        whole = end + len(_END_OF_HEAD) + length
        if len(self._received) < whole:
            return
        body, self._received = self._received[end + len(_END_OF_HEAD) : whole], self._received[whole:]
        self.is_ending = b"\r\nconnection: close" in head
        self._tell(int(head[9:12]), body)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._on_lost(self)
        self._tell(0, b"")

    def _tell(self, status: int, body: bytes) -> None:
        on_answer, self._on_answer = self._on_answer, None
        if on_answer is not None:
            on_answer(status, body)


class Caller:
    """Sends calls over as many connections as are needed, at most `max_connections`; the others wait here."""

    def __init__(self, port: int, *, max_connections: int) -> None:
        self.port = port
        self.max_connections = max_connections
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._waiting: deque[tuple[bytes, OnAnswer]] = deque()

    def send(self, call: bytes, on_answer: OnAnswer) -> None:
        """As soon as there is a connection."""
        if self._idle:
            self._use(self._idle.popleft(), call, on_answer)
            return
        self._waiting.append((call, on_answer))
        if len(self._open) + len(self._opening) < self.max_connections:
            task = asyncio.get_running_loop().create_task(self._connect())
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def close(self) -> None:
        """End all connections."""
        for connection in [*self._open]:
            connection.close()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: Connection(self._lost), "127.0.0.1", self.port)
        except OSError:
            if self._waiting:
                self._waiting.popleft()[1](0, b"")
            return
        self._open.add(connection)
        self._free(connection)

    def _use(self, connection: Connection, call: bytes, on_answer: OnAnswer) -> None:
        def told(status: int, body: bytes) -> None:
            if connection.is_ending:
                connection.close()
                self._open.discard(connection)
            elif status:
                self._free(connection)
            on_answer(status, body)

        connection.send(call, told)

    def _free(self, connection: Connection) -> None:
        if self._waiting:
            self._use(connection, *self._waiting.popleft())
        else:
            self._idle.append(connection)

    def _lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


async def at_rate(
    port: int, calls: Sequence[bytes], *, rate: float, seconds: float, seed: int, max_connections: int = 1024
) -> Load:
    """Calls due at random moments, so many a second in the mean (a Poisson process), and all their answers."""
    chance, load, caller = random.Random(seed), Load(), Caller(port, max_connections=max_connections)
    begin, due, sent = monotonic(), 0.0, 0

    def send(call: bytes, due_at: float) -> None:
        def answered(status: int, _: bytes) -> None:
            _note(load, status, begin, due_at)

        caller.send(call, answered)

    while (due := due + chance.expovariate(rate)) < seconds:
        wait = begin + due - monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        elif sent % 64 == 0:
            await asyncio.sleep(0)  # answers are read even when calls are due faster than they can be sent
        send(calls[sent % len(calls)], begin + due)
        sent += 1
    load.seconds = seconds
    await _all_answered(load, sent)
    caller.close()
    return load


async def as_fast_as_answered(port: int, calls: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """Each of these connections sends its next call when it has the answer to the one before."""
    load, caller = Load(), Caller(port, max_connections=connections)
    begin, sent = monotonic(), 0

    def send() -> None:
        nonlocal sent
        due_at = monotonic()

        def answered(status: int, _: bytes) -> None:
            _note(load, status, begin, due_at)
            if monotonic() < begin + seconds:
                send()

        caller.send(calls[sent % len(calls)], answered)
        sent += 1

    for _ in range(connections):
        send()
    await asyncio.sleep(seconds)
    load.seconds = seconds
    await _all_answered(load, sent)
    caller.close()
    return load


def _note(load: Load, status: int, begin: float, due_at: float) -> None:
    now = monotonic()
    load.statuses[status] += 1
    if status == 200:
        load.answered_at.append(now - begin)
    (load.latencies if status == 200 else load.refused_latencies).append(now - due_at)


async def _all_answered(load: Load, sent: int) -> None:
    """Wait for the last answers; `TimeoutError` if some never come."""
    async with asyncio.timeout(LONGEST_WAIT_SECONDS):
        while load.statuses.total() < sent:
            await asyncio.sleep(0.01)

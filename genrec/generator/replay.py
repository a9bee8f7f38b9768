"""Work on tensors of fixed shapes, recorded once and done again on other values: on a GPU as a CUDA graph.

Such work must not look at the data, nor wait for the GPU. On other devices there are no graphs: there the work itself
is done again, between the same copies.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, NamedTuple

import torch
from torch import Tensor

WARM_UPS = 3
"""Runs before a capture, in which libraries take their memory and compilers compile."""
_CAPTURING = Lock()  # of the process: a capture begins by emptying the cache of memory, which no other bears


class Recording(NamedTuple):
    """Work that can be done again."""

    inputs: Sequence[Tensor]
    """Where it reads."""
    outputs: Sequence[Tensor]
    """Where it writes."""
    again: Callable[[], object]


class Recorder:
    """Records work on one device and replays it.

    On a GPU all its recordings share a stream and a pool of memory: callers must replay one at a time, on whatever
    streams of theirs.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._pool = None if self._stream is None else torch.cuda.graph_pool_handle()

    def record(self, work: Callable[[], Sequence[Tensor]], inputs: Sequence[Tensor]) -> Recording:
        """The recording of `work`, which reads `inputs`; these, made in a `turn`, and what it returns are its own."""
        with self.turn():
            if self._stream is not None:
                return Recording(inputs, *captured(work, stream=self._stream, pool=self._pool))
            outputs = [torch.empty_like(part) for part in work()]
            return Recording(inputs, outputs, lambda: _copy(work(), outputs))

    def replay(self, recording: Recording, inputs: Sequence[Tensor]) -> list[Tensor]:
        """What the work returns of other inputs, as new tensors; it is not waited for."""
        outputs = [torch.empty_like(part) for part in recording.outputs]
        with self.turn():
            _copy(inputs, recording.inputs)
            recording.again()
            _copy(recording.outputs, outputs)
        return outputs

    @contextmanager
    def turn(self) -> Iterator[None]:
        """What is done on the own stream, after what the caller's has been given and before what it will be given."""
        if self._stream is None:
            yield
            return
        callers = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(callers)
        with torch.cuda.stream(self._stream):
            yield
        callers.wait_stream(self._stream)


def captured(
    work: Callable[[], Sequence[Tensor]], *, stream: torch.cuda.Stream, pool: Any
) -> tuple[Sequence[Tensor], Callable[[], object]]:
    """Where a CUDA graph of the work writes, and what replays it; `stream` is the current one and not the default."""
    for _ in range(WARM_UPS):
        work()
    graph = torch.cuda.CUDAGraph()
    # other threads go on with theirs meanwhile: only what this one does is held against the capture
    with _CAPTURING, torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        outputs = work()
    return outputs, graph.replay


def _copy(sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
    for source, target in zip(sources, targets, strict=True):
        target.copy_(source)

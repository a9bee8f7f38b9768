"""One queue in front of the recommender: what waits is answered together, and what cannot be is refused at once."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_NEWEST = 0.2
"""Weight of the newest batch in the mean time that a full one takes."""


class Refused(Exception):
    """Work that was not done, for want of room or time."""


class QueueFullError(Refused):
    """As much waits as may; to be tried again in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"as many requests wait as the server takes on; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class DeadlineError(Refused):
    """It was not answered in time."""


class ClosingError(Refused):
    """The server takes nothing more on."""


@dataclass(frozen=True, eq=False)
class Job(Generic[Asked, Answer]):
    """What one call asks, and where its answers go."""

    asked: Sequence[Asked]
    answers: "asyncio.Future[Sequence[Answer]]"
    deadline: float
    """Of the monotonic clock, in seconds."""


Answering = Callable[[Sequence[Sequence[Asked]]], "Sequence[Sequence[Any] | Exception]"]
"""Answers the questions of several calls at once: for each call its answers, or what was wrong with it."""


class Batcher(Generic[Asked, Answer]):
    """Bounded in what waits (`queue_size` questions), in a batch (`max_batch`), and in time (`deadline_s`).

    `answering` runs in one thread, its own or one that several of these share by turns. A batch begins as soon as the
    one before it ends and takes what waits by then, so that batches are as large as the load asks for and nobody waits
    for company.
    """

    def __init__(
        self,
        answering: Answering[Asked],
        *,
        max_batch: int,
        queue_size: int,
        deadline_s: float,
        thread: ThreadPoolExecutor | None = None,
    ) -> None:
        self.answering = answering
        self.max_batch = max_batch
        self.queue_size = queue_size
        self.deadline_s = deadline_s
        self.waiting = 0
        """Questions that no batch has taken yet."""
        self.in_batch = 0
        """Questions of the batch that is being answered."""
        self.batch_sizes: Callable[[int, float], None] = lambda size, seconds: None
        """Told the size of every batch and what it took."""
        self._jobs: deque[Job[Asked, Answer]] = deque()
        self._arrived = asyncio.Event()
        self._is_closing = False
        self._full_batch_s = 0.0
        """What a batch that is at least half full takes; 0: there has been none."""
        self.thread = thread or ThreadPoolExecutor(1, thread_name_prefix="recommender")
        self._owns_thread = thread is None
        self._runner: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer; inside a running event loop."""
        self._runner = asyncio.get_running_loop().create_task(self._run())

    async def ask(self, asked: Sequence[Asked]) -> Sequence[Answer]:
        """The answers to these questions.

        Raises:
            QueueFullError: there is no room, or what waits already will not be answered in time.
            DeadlineError: the time is over.
            ClosingError: `close` has been called.
            Exception: what `answering` had against this call.
        """
        if self._is_closing:
            raise ClosingError("the server is shutting down; ask another one")
        batches = math.ceil((self.waiting + self.in_batch + len(asked)) / self.max_batch)
        answered_in_s = self._full_batch_s * batches
        # a batch may always wait: were it refused after a slow one, no full batch would ever show that the time is past
        is_late = self.waiting >= self.max_batch and answered_in_s > self.deadline_s
        if self.waiting + len(asked) > self.queue_size or is_late:
            raise QueueFullError(max(1, math.ceil(answered_in_s)))
        loop = asyncio.get_running_loop()
        job = Job(asked, loop.create_future(), time.monotonic() + self.deadline_s)
        self._jobs.append(job)
        self.waiting += len(asked)
        self._arrived.set()
        late = DeadlineError(f"not answered within {self.deadline_s:g} s; try again, or ask for less")
        timer = loop.call_later(self.deadline_s, _tell, job.answers, late)
        try:
            return await job.answers
        finally:
            timer.cancel()

    async def close(self, *, seconds: float) -> None:
        """Take nothing more on, and return when everything is answered or that time is over."""
        self._is_closing = True
        self._arrived.set()
        if self._runner is not None:
            await asyncio.wait([self._runner], timeout=seconds)
            self._runner.cancel()
        if self._owns_thread:
            self.thread.shutdown(wait=False, cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = self._next_batch()
            if not batch and self._is_closing:
                return
            if not batch:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            self.in_batch, began = sum(len(job.asked) for job in batch), time.monotonic()
            try:
                found = await loop.run_in_executor(self.thread, self.answering, [job.asked for job in batch])
            except Exception as error:  # not of one call: all of the batch are told
                found = [error] * len(batch)
            self._learn(self.in_batch, time.monotonic() - began)
            self.in_batch = 0
            for job, answers in zip(batch, found, strict=True):
                _tell(job.answers, answers)

    def _next_batch(self) -> list[Job[Asked, Answer]]:
        """The oldest jobs that fit into a batch, at least one; those that nobody waits for any more are dropped."""
        batch: list[Job[Asked, Answer]] = []
        size, now = 0, time.monotonic()
        while self._jobs and (not batch or size + len(self._jobs[0].asked) <= self.max_batch):
            job = self._jobs.popleft()
            self.waiting -= len(job.asked)
            # what would be late anyway leaves its place to what comes after it
            if job.answers.done() or now + min(self._full_batch_s, self.deadline_s / 2) > job.deadline:
                continue
            batch.append(job)
            size += len(job.asked)
        return batch

    def _learn(self, questions: int, seconds: float) -> None:
        self.batch_sizes(questions, seconds)
        if 2 * questions >= self.max_batch:
            before = self._full_batch_s or seconds
            self._full_batch_s = (1 - _NEWEST) * before + _NEWEST * seconds


def _tell(future: "asyncio.Future[Sequence[Answer]]", answers: "Sequence[Answer] | Exception") -> None:
    if future.done():  # nobody waits for it any more
        return
    if isinstance(answers, Exception):
        future.set_exception(answers)
    else:
        future.set_result(answers)

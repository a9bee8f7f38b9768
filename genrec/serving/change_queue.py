"""Changes wait for one another in a thread of their own, a bounded number of them."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from genrec.serving.batcher import ClosingError, Refused

Done = TypeVar("Done")


class TooManyChangesError(Refused):
    """As many changes wait as may."""


class ChangeQueue:
    """At most `size` changes wait or run. One that has begun runs to its end, whoever still waits for it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.waiting = 0
        """Changes that are not done, with the one that is made."""
        self._counting = Lock()
        self._is_closing = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="catalogue")

    async def do(self, change: Callable[[], Done]) -> Done:
        """What the change returns or raises.

        Raises:
            TooManyChangesError: there is no room.
            ClosingError: `close` has been called before the change began.
        """
        if self._is_closing:
            raise ClosingError("the server is shutting down; ask another one")
        if not self._counted(1):
            raise TooManyChangesError(f"{self.size} changes wait already; try again, with several items in one call")
        future = self._thread.submit(change)
        future.add_done_callback(lambda _: self._counted(-1))
        try:
            return await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            if future.cancelled():
                raise ClosingError("the server is shutting down; ask another one") from None
            raise

    async def close(self) -> None:
        """Take nothing more on, drop what has not begun, and return when the change that runs is done."""
        self._is_closing = True
        await asyncio.to_thread(self._thread.shutdown, wait=True, cancel_futures=True)

    def _counted(self, change: int) -> bool:
        """Whether there is room for it; the thread of changes counts too."""
        with self._counting:
            has_room = self.waiting + change <= self.size
            self.waiting += change * has_room
            return has_room

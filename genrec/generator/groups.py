"""Users in groups: on the CPU a search runs faster as several small ones side by side, one thread each, than as one.

No thread waits for another at the end of every operation, and a group's states are not far from its core; a single
history needs one thread only. So a search takes the threads that torch would give to one operation
(`torch.set_num_threads`), each for a group of its own.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from os import register_at_fork
from threading import Barrier
from typing import TypeVar

import torch

Part = TypeVar("Part")
GROUP_ROWS = 1600
"""So many beams keep a thread busy for longer than Python takes between two operations."""


def in_groups(search: Callable[[slice], Part], num_users: int, *, beam_size: int, device: torch.device) -> list[Part]:
    """What the search gives for each group of users, in their order; on a GPU all users are one group."""
    threads = torch.get_num_threads()
    if device.type != "cpu":
        return [search(slice(0, num_users))]
    users = max(1, min(GROUP_ROWS // beam_size, -(-num_users // threads)))
    groups = [slice(first, min(first + users, num_users)) for first in range(0, max(num_users, 1), users)]
    if threads > 1 and len(groups) > 1:
        return list(_workers(threads).map(search, groups))
    with _one_thread():
        return [search(group) for group in groups]


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    """So many threads, whose operations run on one thread; kept for the next search."""
    workers = ThreadPoolExecutor(threads, "genrec-search", initializer=_use_one_thread)
    ready = Barrier(threads + 1)
    for _ in range(threads):
        workers.submit(ready.wait)
    ready.wait()
    torch.set_num_threads(threads)  # what threads that start later take over
    return workers


def _use_one_thread() -> None:
    torch.get_num_threads()  # makes this thread take over the number of all, which it would otherwise do later
    torch.set_num_threads(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """This thread's operations run on it alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


# a forked process has none of its parent's threads
register_at_fork(after_in_child=_workers.cache_clear)

"""How far long work is: bars on stderr for people, nothing at all for programs."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, runtime_checkable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

_SECONDS_BETWEEN_LINES = 30.0


@runtime_checkable
class Bar(Protocol):
    """One piece of long work."""

    def __call__(self, done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
        """So much is done of so much; figures stand behind the bar."""
        ...


@runtime_checkable
class Progress(Protocol):
    """Whoever shows progress."""

    def say(self, text: str) -> None:
        """One line."""
        ...

    def bar(self, name: str) -> AbstractContextManager[Bar]:
        """A context in which a `Bar` can be moved."""
        ...


class Silence:
    """Shows nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    @contextmanager
    def bar(self, name: str) -> Iterator[Bar]:
        """A bar that nobody sees."""

        def move(done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
            pass

        yield move


class Terminal:
    """Bars where stderr is a terminal, else a line every half minute."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """One line on stderr."""
        self.console.print(text, markup=False)

    @contextmanager
    def bar(self, name: str) -> Iterator[Bar]:
        """A bar with time left and figures, or lines in a log."""
        if not self.console.is_terminal:
            yield _Lines(self.console, name)
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
        )
        with RichProgress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(name, total=None, figures="")

            def move(done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
                progress.update(task, completed=done, total=total, figures=_shown(figures))

            yield move


class _Lines:
    """A bar as lines, for logs."""

    def __init__(self, console: Console, name: str) -> None:
        self.console = console
        self.name = name
        self.last = time.monotonic()

    def __call__(self, done: int, total: int, figures: Mapping[str, float] | None = None) -> None:
        now = time.monotonic()
        if now - self.last >= _SECONDS_BETWEEN_LINES:
            self.last = now
            self.console.print(f"{self.name}: {done}/{total} {_shown(figures)}".rstrip(), markup=False)


def _shown(figures: Mapping[str, float] | None) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in (figures or {}).items())


def for_terminal() -> Progress:
    """Bars if somebody may be looking at stderr."""
    return Terminal() if sys.stderr is not None else Silence()

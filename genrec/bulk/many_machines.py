"""The same parts by Ray Data: on the cores of one machine, or on those of a cluster whose machines share a disk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genrec.bulk.parts import Counts, Part, Work, finish
from genrec.errors import ConfigError


class _Worker:
    """One of several: loads the work once and does parts of it."""

    def __init__(self, work: Work, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.do, self.fingerprint = work.load(), work.fingerprint()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        part = Part(Path(row["source"]), Path(row["target"]), Path(row["note"]))
        return {"counts": dict(finish(part, self.fingerprint, self.do))}


class RayRunner:
    """Does parts on `workers` workers of `threads` threads each; a `Runner`.

    A worker that dies is replaced, and its part done anew.
    """

    def __init__(self, *, workers: int, threads: int, address: str | None = None) -> None:
        self.workers = workers
        self.threads = threads
        self.address = address

    def __call__(self, work: Work, parts: list[Part]) -> Iterator[Counts]:
        """What each part counted, in the order in which they are finished."""
        if not parts:
            return
        try:
            import ray  # pyright: ignore[reportMissingImports]
            import ray.data  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise ConfigError('Ray is not installed; pip install "genrec[ray]", or leave out --workers') from error
        ray.init(address=self.address, ignore_reinit_error=True, configure_logging=False, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
        rows = [{name: str(path.absolute()) for name, path in part._asdict().items()} for part in parts]
        done = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            _Worker,
            fn_constructor_args=(work, self.threads),
            concurrency=min(self.workers, len(rows)),
            num_cpus=self.threads,
        )
        for row in done.iter_rows():
            yield row["counts"]

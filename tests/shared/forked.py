"""Commands in a fresh copy of a process that has their imports behind it, which cost more than most of them do."""

import contextlib
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

PRELOADED = [
    *("genrec.cli", "genrec.bulk.work", "genrec.tables", "genrec.additions.add", "tokenizer.figures"),
    *("sklearn.decomposition", "sklearn.feature_extraction.text", "matplotlib.pyplot"),
    *("transformers.models.t5.modeling_t5", "genrec.training.stage"),
]


class Ended(NamedTuple):
    """A process that has ended: as `subprocess.run` says it."""

    returncode: int
    stdout: str
    stderr: str


def genrec(*arguments: object, cwd: Path, timeout: float = 300) -> Ended:
    """`genrec ARGUMENTS` as it is typed in that folder."""
    return forked(as_command, ["genrec", *map(str, arguments)], folder=cwd, timeout=timeout)


def forked(
    work: Callable[[Any], None],
    argument: object,
    *,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = 300,
) -> Ended:
    """What `work(argument)` did in that folder, on one thread; `AssertionError` if it takes too long."""
    with tempfile.TemporaryDirectory() as printed:
        files = [Path(printed) / name for name in ("stdout", "stderr")]
        process = started(work, argument, folder=folder, environment=environment or {}, files=files)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise AssertionError(f"{argument} takes more than {timeout} s")
        return Ended(process.exitcode, *(file.read_text(encoding="utf-8") for file in files))


def started(
    work: Callable[[Any], None], argument: object, *, folder: Path, environment: Mapping[str, str], files: list[Path]
) -> BaseProcess:
    """The process that does `work(argument)`, with its stdout and stderr in these files."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=_in_folder, args=(work, argument, folder, files, dict(environment)))
    process.start()
    return process


def forked_together(program: str, *, folder: Path, num_processes: int, timeout: float = 400) -> None:
    """The program on processes that train together, as torchrun starts them; `AssertionError` if one of them fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(num_processes)}
    together |= {"LOCAL_WORLD_SIZE": str(num_processes)}

    def run(rank: int) -> Ended:
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), **together} if num_processes > 1 else {}
        environment = {"ACCELERATE_USE_CPU": "true", **ranks}
        return forked(as_program, program, folder=folder, environment=environment, timeout=timeout)

    with ThreadPoolExecutor(num_processes) as pool:
        for ended in pool.map(run, range(num_processes)):
            assert ended.returncode == 0, ended.stderr[-3000:]


def as_command(words: list[str]) -> None:
    """The command line of ours."""
    from genrec.cli import main

    sys.argv = words
    main()


def as_program(text: str) -> None:
    """Python in a file of its own."""
    exec(compile(text, "block", "exec"), {"__name__": "__main__"})


def _in_folder(
    work: Callable[[Any], None], argument: object, folder: Path, files: list[Path], environment: dict[str, str]
) -> None:
    os.environ.update({"OMP_NUM_THREADS": "1", **environment})
    os.chdir(folder)
    for number, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", buffering=1) for number in (1, 2))
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(1)
    work(argument)

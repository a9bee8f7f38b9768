"""What figures were measured on, and by which command: stands in every JSON of a benchmark."""

import os
import platform
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit,
        "machine": f"{_processor()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def use_threads(threads: int) -> None:
    """Let torch and every library with threads of its own have so many: codes differ with the number that BLAS has."""
    for name in ("faiss", "scipy.linalg", "sklearn.cluster"):
        import_module(name)  # whose libraries can be told only when they are loaded
    torch.set_num_threads(threads)
    threadpool_limits(threads)


def command_line(module: str) -> str:
    """The command that runs, as it can be typed again."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())

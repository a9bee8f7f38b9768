"""A measurement in a process of its own, so that no method's memory, threads or caches disturb another's."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


class MeasurementError(Exception):
    """The process ended without figures; the message holds the end of what it wrote."""


def measure_in_own_process(
    module: str, job: Mapping[str, Any], *, threads: int, timeout_seconds: float | None = None
) -> dict[str, Any]:
    """What `python -m module JOB` prints as its last line; both are JSON. `threads` bound OpenMP's and BLAS's.

    Raises:
        MeasurementError: it failed, or took longer than `timeout_seconds`.
    """
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    try:
        done = subprocess.run(
            [sys.executable, "-m", module, json.dumps(job)],
            capture_output=True,
            text=True,
            check=False,
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **limits},
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"took longer than {timeout_seconds:.0f} s") from error
    if done.returncode != 0:
        raise MeasurementError(f"exit code {done.returncode}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])

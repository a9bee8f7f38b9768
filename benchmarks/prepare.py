"""Time and memory of `genrec prepare` on made interactions, each size in a process of its own.

    python -m benchmarks.prepare --rows 10_000_000,100_000_000 --json FILE

Users have 20 interactions on average, items 100, both unevenly; ids are texts, and rows come in the order of time, as
logs do. The file is Parquet, or CSV with --csv.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.machine import command_line, machine
from benchmarks.memory import peak_resident_mb
from benchmarks.own_process import measure_in_own_process
from genrec.atomic_files import atomic_json
from genrec.data.preparation import prepare
from genrec.data.prepared import write_prepared
from genrec.data.sources import DataConfig
from tokenizer.plain_tables import plain_table

_MEMORY_OF_GENERATION = "2GB"


def main() -> None:
    """Measure, print a table, write the JSON; called with a job by itself."""
    if len(sys.argv) == 2 and sys.argv[1].startswith("{"):
        print(json.dumps(prepared(json.loads(sys.argv[1]))))
        return
    options = _parser().parse_args()
    report: dict[str, Any] = {"command": command_line("benchmarks.prepare"), **machine(), "sizes": []}
    for rows in (int(rows) for rows in options.rows.split(",")):
        with tempfile.TemporaryDirectory(dir=options.scratch) as scratch:
            file = make_interactions(Path(scratch), rows, csv=options.csv)
            job = {"file": str(file), "out": scratch, "k_core": options.k_core}
            found = measure_in_own_process("benchmarks.prepare", job, threads=options.threads)
        report["sizes"].append({"rows": rows, "rows_per_second": rows / found["seconds"], **found})
        print(table(report["sizes"]), flush=True)
        if options.json:
            atomic_json(options.json, report)


def make_interactions(folder: Path, rows: int, *, csv: bool) -> Path:
    """A file with user_id, item_id and timestamp, the same for the same number of rows."""
    file = folder / ("interactions.csv" if csv else "interactions.parquet")
    uneven = "pow((hash(i, {salt}) % 1000003) / 1000003.0, 2)"
    with duckdb.connect(config={"memory_limit": _MEMORY_OF_GENERATION, "temp_directory": str(folder)}) as database:
        database.execute("SET preserve_insertion_order = true")
        user, item = (
            f"hash(i, {salt}, 7) % greatest(cast({count} * {uneven.format(salt=salt)} AS BIGINT), 1)"
            for salt, count in ((1, rows // 20), (2, rows // 100))
        )
        query = (
            f"SELECT 'user-' || ({user}) AS user_id, 'B' || lpad(cast({item} AS VARCHAR), 9, '0') AS item_id, "
            f"1300000000 + i * 100000000 // {rows} AS timestamp FROM range({rows}) AS made(i)"
        )
        database.execute(f"COPY ({query}) TO '{file}' ({'FORMAT csv, HEADER' if csv else 'FORMAT parquet'})")
    return file


def prepared(job: dict[str, Any]) -> dict[str, Any]:
    """Prepare in this process; what it took and what came of it."""
    config = DataConfig(
        format="table",
        interactions=job["file"],
        columns={"user": "user_id", "item": "item_id", "time": "timestamp"},
        k_core=job["k_core"],
    )
    began, cpu_began = time.monotonic(), time.process_time()
    found = prepare(config, data_dir=Path("/"), seed=0)
    read = time.monotonic()
    write_prepared(found, Path(job["out"]))
    return {
        "seconds": time.monotonic() - began,
        "reading_seconds": read - began,
        "cpu_seconds": time.process_time() - cpu_began,
        "peak_mb": peak_resident_mb(),
        "kept": found.report["kept"],
    }


def table(sizes: Sequence[dict[str, Any]]) -> str:
    """A line for each size."""
    header = ("rows", "seconds", "of them reading", "rows/s", "peak MB", "users kept", "items kept")
    return plain_table(
        header,
        [
            (
                f"{size['rows']:,}",
                f"{size['seconds']:.0f}",
                f"{size['reading_seconds']:.0f}",
                f"{size['rows_per_second']:,.0f}",
                f"{size['peak_mb']:,.0f}",
                f"{size['kept']['users']:,}",
                f"{size['kept']['items']:,}",
            )
            for size in sizes
        ],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Time and memory of `genrec prepare` on made interactions.")
    parser.add_argument("--rows", default="1_000_000,10_000_000")
    parser.add_argument("--csv", action="store_true", help="CSV instead of Parquet")
    parser.add_argument("--k-core", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scratch", type=Path, help="where the files are made; default: the system's")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

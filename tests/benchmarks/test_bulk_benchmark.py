import json

import duckdb
import pytest

from benchmarks.bulk import compared, failures_of, write_histories
from genrec import run_pipeline
from genrec.data.prepared import read_prepared


def write(folder, name, users):
    folder.mkdir(exist_ok=True)
    rows = ", ".join(f"('{user}')" for user in users)
    duckdb.execute(f"COPY (SELECT * FROM (VALUES {rows}) AS t(user_id)) TO '{folder / name}'")


def report_of(tmp_path, first, second, kills=(1,)):
    for name, parts in (("alone", first), ("ray", second)):
        for part, users in parts.items():
            write(tmp_path / name, part, users)
    found = compared(tmp_path / "alone", tmp_path / "ray", 3)
    return {"users": 3, "parts": 2, "kills_after_parts": list(kills), **found}


PARTS = {"a.parquet": ["u0", "u1"], "b.parquet": ["u2"]}


def test_equal_parts_are_no_failure(tmp_path):
    report = report_of(tmp_path, PARTS, PARTS)
    assert (report["equal_parts"], report["lists"], report["distinct"]) == (2, 3, 3)
    assert failures_of(report, kills=1) == []


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a.parquet": ["u0", "u1"]}, "other parts: b.parquet"),
        ({**PARTS, "b.parquet": ["u1"]}, "3 lists of 2 users"),
        ({**PARTS, "c.parquet": ["u2"]}, "other parts: c.parquet"),
    ],
)
def test_what_is_lost_or_comes_twice_is_a_failure(tmp_path, parts, message):
    assert any(message in text for text in failures_of(report_of(tmp_path, PARTS, parts), kills=1))


def test_a_kill_that_never_came_is_a_failure(tmp_path):
    assert failures_of(report_of(tmp_path, PARTS, PARTS, kills=()), kills=1) == ["0 of 1 kills"]


def test_every_made_user_comes_once_with_a_beginning_of_a_real_history(tmp_path):
    small = ["data.world.num_items=60", "data.world.num_users=40"]
    run = run_pipeline("demo", overrides=small, out=tmp_path / "run", until="prepare").path
    folder = write_histories(run, tmp_path / "histories", 100, 7)
    lines = [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]
    assert len(list(folder.iterdir())) == 7
    assert [line["user_id"] for line in lines] == [f"u{number}" for number in range(100)]
    interactions = read_prepared(run).interactions
    for number, line in enumerate(lines):
        whole = interactions.item_ids[interactions.of(number % interactions.num_users)].tolist()
        assert line["item_ids"] and line["item_ids"] == whole[: len(line["item_ids"])]

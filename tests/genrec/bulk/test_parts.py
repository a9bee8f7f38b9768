import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from genrec.bulk.parts import do_parts, one_after_the_other, parts_of
from genrec.errors import DataError
from genrec.progress import Silence


@dataclass(frozen=True)
class Upper:
    """Turns letters into capitals, and writes down what it has done."""

    diary: Path
    version: int = 1
    fails_at: str = ""

    def fingerprint(self):
        return str(self.version)

    def load(self):
        def do(source, target):
            if source.name == self.fails_at:
                raise RuntimeError("the worker died")
            with self.diary.open("a") as diary:
                diary.write(f"{source.name}\n")
            target.parent.mkdir(exist_ok=True)
            target.write_text(source.read_text().upper())
            return {"letters": len(source.read_text())}

        return do


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / f"{name}.jsonl").write_text(name * 3)
    return folder


def done(work, source, run=one_after_the_other):
    return do_parts(work, source, source.parent / "out", run=run, progress=Silence())


def diary(work):
    return work.diary.read_text().split() if work.diary.exists() else []


def test_each_part_becomes_one_and_the_counts_add_up(tmp_path, source):
    report = done(Upper(tmp_path / "diary"), source)
    assert {path.name: path.read_text() for path in (tmp_path / "out").glob("*.parquet")} == {
        "a.parquet": "AAA",
        "b.parquet": "BBB",
        "c.parquet": "CCC",
    }
    assert report.as_dict() == {"out": str(tmp_path / "out"), "parts": 3, "done_before": 0, "letters": 9}


def test_what_is_done_is_not_done_again(tmp_path, source):
    work = Upper(tmp_path / "diary")
    done(work, source)
    report = done(work, source)
    assert diary(work) == ["a.jsonl", "b.jsonl", "c.jsonl"]
    assert (report.done_before, report.counts) == (3, {"letters": 9})


def test_stopped_work_goes_on_with_the_parts_that_are_left(tmp_path, source):
    with pytest.raises(RuntimeError, match="died"):
        done(Upper(tmp_path / "diary", fails_at="b.jsonl"), source)
    work = Upper(tmp_path / "diary")
    assert done(work, source).done_before == 1
    assert diary(work) == ["a.jsonl", "b.jsonl", "c.jsonl"]


@pytest.mark.parametrize("change", ["input", "options", "output", "output is gone", "note"])
def test_only_what_has_changed_is_done_again(tmp_path, source, change):
    work = Upper(tmp_path / "diary")
    done(work, source)
    out, note = tmp_path / "out" / "b.parquet", tmp_path / "out" / ".done" / "b.json"
    if change == "input":
        (source / "b.jsonl").write_text("BB")
    elif change == "options":
        work = Upper(tmp_path / "diary", version=2)
    elif change == "output":
        out.write_text("torn")
    elif change == "output is gone":
        out.unlink()
    else:
        note.write_text("[1, ")
    done(work, source)
    again = ["a.jsonl", "b.jsonl", "c.jsonl"] if change == "options" else ["b.jsonl"]
    assert diary(work)[3:] == again
    assert json.loads(note.read_text())["counts"] == {"letters": 2 if change == "input" else 3}


def test_a_single_file_is_a_part(tmp_path, source):
    assert done(Upper(tmp_path / "diary"), source / "a.jsonl").parts == 1
    assert (source / "out" / "a.parquet").read_text() == "AAA"


def test_parts_of_folders_within_keep_apart(tmp_path, source):
    (source / "day=1").mkdir()
    (source / "day=1" / "a.jsonl").write_text("x")
    (source / "_SUCCESS").write_text("")
    assert [part.target.name for part in parts_of(source, tmp_path)] == [
        "a.parquet",
        "b.parquet",
        "c.parquet",
        "day=1-a.parquet",
    ]


def test_a_folder_without_parts_and_two_parts_of_one_name_are_refused(tmp_path, source):
    with pytest.raises(DataError, match="has no parts"):
        done(Upper(tmp_path / "diary"), source / "none")
    (source / "a.csv").write_text("a")
    with pytest.raises(DataError, match=r"both become a\.parquet"):
        done(Upper(tmp_path / "diary"), source)


@pytest.mark.parametrize("out", ["in", "in/lists"])
def test_an_output_that_lies_among_the_input_is_refused(tmp_path, source, out):
    work = Upper(tmp_path / "diary")
    with pytest.raises(DataError, match=r"lies in .*, where its files would be taken for parts"):
        do_parts(work, source, tmp_path / out, run=one_after_the_other, progress=Silence())
    assert not diary(work)


def test_a_part_is_not_overwritten_by_what_is_made_of_it(tmp_path, source):
    (source / "a.parquet").write_text("aaa")
    with pytest.raises(DataError, match="choose another folder"):
        do_parts(Upper(tmp_path / "diary"), source / "a.parquet", source, run=one_after_the_other, progress=Silence())
    assert (source / "a.parquet").read_text() == "aaa"


def test_what_other_parts_left_is_not_mixed_with_these(tmp_path, source):
    work = Upper(tmp_path / "diary")
    done(work, source)
    (source / "b.jsonl").unlink()
    with pytest.raises(DataError, match=r"b\.parquet was made of a part that .* does not have \(1 such files\)"):
        done(work, source)
    (tmp_path / "out" / "b.parquet").rename(tmp_path / "out" / ".tmp-1-b.parquet")  # left by a worker that was killed
    assert done(work, source).done_before == 2


def test_a_part_that_changes_while_it_is_done_is_done_again(tmp_path, source):
    @dataclass(frozen=True)
    class Slow(Upper):
        def load(self):
            do = super().load()

            def slow(part, target):
                counts = do(part, target)
                if part.name == "a.jsonl" and part.read_text() == "aaa":
                    part.write_text("new")
                return counts

            return slow

    done(Slow(tmp_path / "diary"), source)
    assert (tmp_path / "out" / "a.parquet").read_text() == "AAA"
    assert done(Slow(tmp_path / "diary"), source).done_before == 2
    assert (tmp_path / "out" / "a.parquet").read_text() == "NEW"

"""Files that appear whole or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest

from genrec.artifacts import atomic_folder, atomic_json, atomic_write, read_json
from genrec.errors import ArtifactError


def broken(path: Path) -> None:
    path.write_bytes(b"half")
    raise RuntimeError("stopped")


def broken_folder(path: Path) -> None:
    broken(path / "x")


def test_bytes_and_what_a_function_writes_arrive_under_the_name(tmp_path):
    atomic_write(tmp_path / "new" / "a.bin", b"12")
    atomic_write(tmp_path / "b.npy", lambda path: np.save(path, np.arange(3)))
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"12"
    assert np.load(tmp_path / "b.npy").tolist() == [0, 1, 2]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["b.npy", "new"]


def test_a_failed_write_leaves_the_earlier_file_and_nothing_else(tmp_path):
    atomic_write(tmp_path / "a", b"whole")
    with pytest.raises(RuntimeError, match="stopped"):
        atomic_write(tmp_path / "a", broken)
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_a_file_has_the_permissions_that_any_new_file_has(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    atomic_write(tmp_path / "atomic", b"")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_folder_replaces_all_of_the_earlier_one(tmp_path):
    atomic_folder(tmp_path / "f", lambda folder: atomic_write(folder / "sub" / "old", b"1"))
    atomic_folder(tmp_path / "f", lambda folder: atomic_write(folder / "new", b"2"))
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")] == ["f", "f/new"]


def test_a_failed_folder_leaves_the_earlier_one_and_nothing_else(tmp_path):
    atomic_folder(tmp_path / "f", lambda folder: atomic_write(folder / "old", b"1"))
    with pytest.raises(RuntimeError, match="stopped"):
        atomic_folder(tmp_path / "f", broken_folder)
    assert [file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*")] == ["f", "f/old"]


def test_json_comes_back_as_it_was(tmp_path):
    value = {"z": 0.1, "a": ["é", None, True]}
    atomic_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["z", "a"]


def test_json_refuses_a_number_that_is_not_finite_and_keeps_the_earlier_file(tmp_path):
    atomic_json(tmp_path / "a.json", {"x": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        atomic_json(tmp_path / "a.json", {"x": float("inf")})
    assert read_json(tmp_path / "a.json") == {"x": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b"', "is damaged: .* at line 2 column 5; delete it and run the stage again"),
        (b"", "is damaged: Expecting value at line 1 column 1"),
        (b'{"a": "\xff"}', "is damaged: not UTF-8"),
        (b"[1]", "holds a JSON list, expected an object"),
    ],
)
def test_damaged_json_is_an_artifact_error_with_the_place(tmp_path, content, message):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ArtifactError, match=rf"a\.json {message}"):
        read_json(tmp_path / "a.json")


def test_missing_json_is_an_artifact_error(tmp_path):
    with pytest.raises(ArtifactError, match="is missing"):
        read_json(tmp_path / "a.json")

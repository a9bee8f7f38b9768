"""Fingerprints: equal for equal contents, different for different ones, the same on every machine."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from genrec.artifacts import file_fingerprint, fingerprint
from genrec.errors import ArtifactError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1


@dataclass(frozen=True)
class Outer:
    names: tuple[str, ...] = ("a",)
    inner: Inner = Inner()


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_fingerprint_is_the_hash_of_canonical_json():
    assert fingerprint("a", 1) == sha256('["a",1]')
    assert fingerprint(Outer()) == sha256('[{"inner":{"rate":0.1},"names":["a"]}]')
    assert fingerprint({"b": None, "a": True}) == sha256('[{"a":true,"b":null}]')


def test_equal_contents_in_other_types_have_equal_fingerprints():
    assert fingerprint(Path("a/b"), (1, 2), np.int64(3)) == fingerprint("a/b", [1, 2], 3)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def test_different_contents_have_different_fingerprints():
    values = [("ab",), ("a", "b"), (["a", "b"],), (1,), (1.0,), ("1",), (True,), (None,), (), ({},), (Inner(0.2),)]
    assert len({fingerprint(*parts) for parts in values}) == len(values)


@pytest.mark.parametrize("value", [np.zeros(2), {1: 2}, {"a"}, b"x", Inner])
def test_what_has_no_canonical_form_is_a_type_error(value):
    with pytest.raises(TypeError, match="expected dataclasses"):
        fingerprint(value)


def test_a_number_that_is_not_finite_has_no_fingerprint():
    with pytest.raises(ValueError, match="not JSON compliant"):
        fingerprint(float("nan"))


def test_a_file_has_the_hash_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"text")
    assert file_fingerprint(tmp_path / "a") == sha256("text")


def test_a_folder_has_a_hash_over_names_and_contents_of_its_files(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"2")
    (tmp_path / "a").write_bytes(b"1")
    before = file_fingerprint(tmp_path)
    assert before == sha256(f"{sha256('1')}  a\n{sha256('2')}  sub/b\n")
    (tmp_path / "a").rename(tmp_path / "c")
    assert file_fingerprint(tmp_path) != before


def test_a_file_that_does_not_exist_is_an_artifact_error(tmp_path):
    with pytest.raises(ArtifactError, match="does not exist"):
        file_fingerprint(tmp_path / "a")

from pathlib import Path

import numpy as np
import pytest

from trie import PrefixTrie, TrieFileError
from trie import files as trie_files
from trie.files import named_arrays


@pytest.fixture(params=["shared leaves", "one row a leaf"])
def catalogue(request):
    random = np.random.default_rng(3)
    codes = random.integers(0, 400, (200, 3)) if request.param == "one row a leaf" else random.integers(0, 4, (200, 3))
    return PrefixTrie.from_codes(codes, level_sizes=(400, 500, 400))


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("verify", [True, False])
def test_a_loaded_trie_equals_the_saved_one(catalogue, tmp_path, mmap, verify):
    catalogue.save(tmp_path / "trie")
    loaded = PrefixTrie.load(tmp_path / "trie", mmap=mmap, verify=verify)
    for name in ("level_sizes", "num_nodes", "fanout", "has_stop", "nbytes"):
        assert getattr(loaded, name) == getattr(catalogue, name)
    saved, found = named_arrays(catalogue.arrays), named_arrays(loaded.arrays)
    assert saved.keys() == found.keys()
    for name, array in saved.items():
        assert found[name].dtype == array.dtype
        assert np.array_equal(found[name], array)


def test_a_trie_of_the_older_format_is_refused(catalogue, tmp_path):
    catalogue.save(tmp_path / "trie")
    header = tmp_path / "trie" / "header.json"
    header.write_text(header.read_text().replace('"prefix-trie-2"', '"prefix-trie-1"'))
    message = "expected format prefix-trie-2, found prefix-trie-1; build the trie again from its codes"
    with pytest.raises(TrieFileError, match=message):
        PrefixTrie.load(tmp_path / "trie", verify=False)


@pytest.mark.parametrize("missing", ["level_sizes", "fanout", "has_stop", "arrays"])
def test_a_header_without_one_of_its_parts_is_refused_even_without_verification(catalogue, tmp_path, missing):
    catalogue.save(tmp_path / "trie")
    header = tmp_path / "trie" / "header.json"
    header.write_text(header.read_text().replace(f'"{missing}"', '"other"'))
    with pytest.raises(TrieFileError, match=f"header.json is damaged: .*{missing}"):
        PrefixTrie.load(tmp_path / "trie", verify=False)


def test_a_flipped_bit_in_any_file_is_refused_with_the_files_name(catalogue, tmp_path):
    catalogue.save(tmp_path / "trie")
    paths = sorted((tmp_path / "trie").iterdir())
    assert len(paths) >= 10
    for path in paths:
        content = path.read_bytes()
        for place in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(TrieFileError, match=path.name):
                PrefixTrie.load(tmp_path / "trie")
        path.write_bytes(content)
    PrefixTrie.load(tmp_path / "trie")


def test_a_missing_or_short_file_is_refused_even_without_verification(catalogue, tmp_path):
    catalogue.save(tmp_path / "trie")
    order = tmp_path / "trie" / "order.bin"
    order.write_bytes(order.read_bytes()[:-4])
    with pytest.raises(TrieFileError, match=r"order.bin: expected 800 bytes, found 796 bytes"):
        PrefixTrie.load(tmp_path / "trie", verify=False)
    order.unlink()
    for verify in (True, False):
        with pytest.raises(TrieFileError, match=r"order.bin"):
            PrefixTrie.load(tmp_path / "trie", verify=verify)
    with pytest.raises(TrieFileError, match=r"manifest.json is missing"):
        PrefixTrie.load(tmp_path / "nothing")


def test_saving_again_replaces_the_older_trie_and_leaves_nothing_else(catalogue, tmp_path):
    catalogue.save(tmp_path / "trie")
    smaller = PrefixTrie.from_codes(np.array([[1, 2]]))
    smaller.save(tmp_path / "trie")
    assert PrefixTrie.load(tmp_path / "trie").num_rows == 1
    assert [path.name for path in tmp_path.iterdir()] == ["trie"]


def test_a_save_that_fails_leaves_the_older_trie(catalogue, tmp_path, monkeypatch):
    catalogue.save(tmp_path / "trie")

    def full_disk(path, content):
        raise OSError("no space left")

    monkeypatch.setattr(trie_files, "_write", full_disk)
    with pytest.raises(OSError, match="no space left"):
        PrefixTrie.from_codes(np.array([[1, 2]])).save(tmp_path / "trie")
    assert PrefixTrie.load(tmp_path / "trie").num_rows == 200
    assert [path.name for path in tmp_path.iterdir()] == ["trie"]


def test_an_older_trie_comes_back_when_the_new_one_cannot_take_its_place(catalogue, tmp_path, monkeypatch):
    catalogue.save(tmp_path / "trie")
    rename = Path.rename

    def all_but_the_fresh_one(path, target):
        if path.name != "trie" and not path.name.endswith(".old"):
            raise OSError("device is busy")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", all_but_the_fresh_one)
    with pytest.raises(OSError, match="device is busy"):
        PrefixTrie.from_codes(np.array([[1, 2]])).save(tmp_path / "trie")
    assert PrefixTrie.load(tmp_path / "trie").num_rows == 200
    assert [path.name for path in tmp_path.iterdir()] == ["trie"]


def test_a_folder_of_other_files_is_not_overwritten(catalogue, tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter one")
    with pytest.raises(ValueError, match="not a trie"):
        catalogue.save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "chapter one"


def test_writing_into_a_memory_mapped_trie_leaves_the_file(catalogue, tmp_path):
    catalogue.save(tmp_path / "trie")
    PrefixTrie.load(tmp_path / "trie").to("cpu").order.zero_()
    assert np.array_equal(PrefixTrie.load(tmp_path / "trie").arrays.order, catalogue.arrays.order)

import json

import numpy as np

from trie import PrefixTrie, TrieReport

# Three first codes with 1, 2 and 5 children; the leaf (2, 4) holds three rows.
CODES = np.array([[0, 0], [1, 0], [1, 1], [2, 0], [2, 1], [2, 2], [2, 3], [2, 4], [2, 4], [2, 4]])


def test_branching_is_counted_at_every_depth():
    root, first = PrefixTrie.from_codes(CODES).report().levels
    assert (root.num_nodes, root.num_children, root.mean, root.most, root.histogram) == (1, 3, 3.0, 3, (0, 0, 1))
    assert (first.num_nodes, first.num_children, first.mean, first.most) == (3, 8, 8 / 3, 5)
    assert first.share_of_one == 1 / 3
    assert first.histogram == (1, 1, 0, 1)  # 1, 2, 3-4, 5-8


def test_rows_of_shared_leaves_are_counted():
    report = PrefixTrie.from_codes(CODES).report()
    assert (report.leaves.num_nodes, report.leaves.num_children, report.leaves.most) == (8, 10, 3)
    assert report.leaves.histogram == (7, 0, 1)
    assert report.shared_leaves == 1


def test_a_power_of_two_is_the_last_number_of_its_bucket():
    for most in range(1, 130):
        codes = np.array([[code] for code in range(most)])
        (root,) = PrefixTrie.from_codes(codes).report().levels
        assert len(root.histogram) - 1 == next(power for power in range(9) if most <= 2**power)
        assert sum(root.histogram) == root.histogram[-1] == 1


def test_bytes_are_those_of_the_kept_arrays():
    trie = PrefixTrie.from_codes(CODES)
    report = trie.report()
    assert sum(report.bytes_by_array.values()) == trie.nbytes
    assert report.bytes_by_array["order"] == 40
    assert report.bytes_per_item == trie.nbytes / 10


def test_the_table_has_a_line_for_each_level_and_one_for_the_rows():
    header, root, first, rows, sizes = PrefixTrie.from_codes(CODES).report().table().splitlines()
    assert header.split() == ["level", "nodes", "mean", "most", "one", "1", "2", "3-4", "5-8"]
    assert root.split() == ["0", "1", "3.00", "3", "0.0", "%", "0", "0", "1", "0"]
    assert first.split() == ["1", "3", "2.67", "5", "33.3", "%", "1", "1", "0", "1"]
    assert rows.split() == ["rows", "8", "1.25", "3", "87.5", "%", "7", "0", "1", "0"]
    assert sizes.startswith("bytes an item: token 1.10 + begin ")
    assert len({len(line) for line in (header, root, first, rows)}) == 1


def test_the_report_of_a_single_row_has_one_bucket():
    report = PrefixTrie.from_codes(np.array([[4, 4]])).report()
    assert isinstance(report, TrieReport)
    assert report.table().splitlines()[0].split()[-1] == "1"


def test_the_dict_is_json_with_every_figure():
    read = json.loads(json.dumps(PrefixTrie.from_codes(CODES).report().as_dict()))
    assert read["levels"][1]["histogram"] == [1, 1, 0, 1]
    assert read["leaves"]["most"] == 3
    assert read["shared_leaves"] == 1
    assert read["bytes_per_item"] == sum(read["bytes_by_array"].values()) / read["num_rows"]

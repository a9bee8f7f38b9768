import math
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from queue import SimpleQueue

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import trie.torch_trie
import trie.version_files
import trie.versions
from trie import AllowRows, DenyRows, PrefixTrie, TrieFileError, VersionedTrie
from trie.filters import with_stock
from trie.rebuild import code_columns
from trie.step import items, start, step

SIZES = (3, 4, 3)
SECONDS = 60
"""More than any build of these tests takes."""


def decode(view, *, score="joint", filters=None, beam_size=5, seed=0):
    """A beam search with random logits that are a function of the prefix; rows and scores, best first."""
    filters = with_stock(view.stock, filters)
    beams, prefixes = start(view, 1), [()]
    for level, size in enumerate(view.trie.level_sizes):
        logits = np.array([np.random.default_rng([seed, 5, *prefix]).normal(0, 2, size) for prefix in prefixes])
        logits = torch.from_numpy(logits[None].astype(np.float32))
        beams = step(view, level, beams, logits, beam_size=beam_size, filters=filters, score=score)
        steps = zip(beams.parent[0].tolist(), beams.code[0].tolist(), strict=True)
        prefixes = [(*prefixes[parent], code) for parent, code in steps]
    leaves = items(view, beams, beam_size=beam_size, filters=filters)
    found = [(row, score) for row, score in zip(leaves.row[0].tolist(), leaves.score[0].tolist(), strict=True)]
    return [row for row, _ in found if row >= 0], [score for row, score in found if row >= 0]


def fresh(known: dict[int, tuple[int, ...]], level_sizes=SIZES):
    """The plain twin: a trie built at once from the rows that are left."""
    rows = sorted(known)
    return PrefixTrie.from_codes(np.array([known[row] for row in rows]), level_sizes=level_sizes, rows=np.array(rows))


def assert_equals_a_fresh_trie(version, known: dict[int, tuple[int, ...]], level_sizes=SIZES):
    assert set(version.rows().tolist()) == set(known)
    assert version.num_rows == len(known)
    slots = version.view.trie.num_row_slots
    assert np.flatnonzero(version.holds(range(slots))).tolist() == sorted(known)
    if not known:
        assert decode(version.view) == decode(version.view, score="catalog") == ([], [])
        return
    twin = fresh(known, level_sizes)
    for prefix in {code[:depth] for code in known.values() for depth in range(len(level_sizes) + 1)}:
        assert version.rows(prefix).tolist() == twin.rows(prefix).tolist()
    for score in ("joint", "catalog"):
        rows, scores = decode(version.view, score=score)
        expected_rows, expected_scores = decode(twin.to("cpu"), score=score)
        assert rows == expected_rows
        assert scores == pytest.approx(expected_scores, abs=1e-5)


@pytest.fixture
def gate(monkeypatch):
    """Builds wait while the gate is closed; `gate.started` is set when one is about to."""
    gate = Gate(trie.versions.rebuilt)
    monkeypatch.setattr(trie.versions, "rebuilt", gate)
    yield gate
    gate.open.set()


class Gate:
    def __init__(self, build):
        self.build, self.builds = build, 0
        self.open, self.started = threading.Event(), threading.Event()
        self.open.set()

    def __call__(self, *args, **named):
        self.started.set()
        assert self.open.wait(SECONDS)
        self.builds += 1
        return self.build(*args, **named)

    def close(self):
        self.open.clear()
        self.started.clear()


def small() -> VersionedTrie:
    """Rows 0, 1 and 2; rows 1 and 2 share a leaf."""
    return VersionedTrie(PrefixTrie.from_codes(np.array([[0, 1, 2], [1, 1, 1], [1, 1, 1]]), level_sizes=SIZES))


def new(*codes: tuple[int, ...]) -> np.ndarray:
    return np.array(codes)


@settings(max_examples=20, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))
class Changes(RuleBasedStateMachine):
    """Any sequence of changes, some during builds, against a dict of the rows that should be there."""

    codes = st.lists(st.tuples(*[st.integers(0, size - 1) for size in SIZES]), min_size=1, max_size=6)

    def __init__(self):
        super().__init__()
        self.gate = Gate(trie.versions.rebuilt)
        trie.versions.rebuilt = self.gate

    def teardown(self):
        trie.versions.rebuilt = self.gate.build
        self.gate.open.set()
        self.settle()
        for version, known in self.seen:
            assert set(version.rows().tolist()) == set(known)
        assert_equals_a_fresh_trie(*self.seen[0])
        self.catalogue.close()

    @initialize(codes=codes)
    def begin(self, codes):
        self.catalogue = VersionedTrie(PrefixTrie.from_codes(np.array(codes), level_sizes=SIZES))
        self.known, self.waiting, self.next_row = dict(enumerate(codes)), [], len(codes)
        self.seen = [(self.catalogue.current, dict(self.known))]

    @rule(codes=codes)
    def insert(self, codes):
        insertion = self.catalogue.insert(np.array(codes))
        assert insertion.rows.tolist() == list(range(self.next_row, self.next_row + len(codes)))
        self.next_row += len(codes)
        self.known |= dict(zip(insertion.rows.tolist(), codes, strict=True))
        self.waiting.append(insertion)

    @rule(data=st.data())
    def delete(self, data):
        rows = data.draw(st.lists(st.integers(0, self.next_row - 1), max_size=5))
        version = self.catalogue.delete(rows)
        assert not version.holds(rows).any()
        for row in rows:
            self.known.pop(row, None)
        if not self.waiting:
            assert version is self.catalogue.current
            self.seen.append((version, dict(self.known)))

    @rule()
    def hold_builds(self):
        self.gate.close()

    @precondition(lambda self: self.waiting)
    @rule()
    def settle(self):
        self.gate.open.set()
        for insertion in self.waiting:
            version = insertion.version.result(SECONDS)
            held = insertion.rows[version.holds(insertion.rows)]
            assert set(held.tolist()) >= set(insertion.rows.tolist()) & set(self.known)
        self.waiting = []
        self.seen.append((self.catalogue.current, dict(self.known)))
        assert_equals_a_fresh_trie(self.catalogue.current, self.known)

    @invariant()
    def current_lacks_only_what_waits_and_numbers_rise(self):
        waiting = {row for insertion in self.waiting for row in insertion.rows.tolist()}
        rows = set(self.catalogue.current.rows().tolist())
        assert set(self.known) - waiting <= rows <= set(self.known)
        if self.catalogue.current is not self.seen[-1][0]:
            assert self.catalogue.current.number > self.seen[-1][0].number


TestChanges = Changes.TestCase


def test_a_delete_is_visible_at_once_and_older_versions_keep_the_row():
    with small() as catalogue:
        first = catalogue.current
        second = catalogue.delete([1])
        assert catalogue.current is second
        assert (first.number, second.number) == (1, 2)
        assert second.rows().tolist() == [0, 2]
        assert first.rows().tolist() == [0, 1, 2]
        assert decode(first.view)[0] == decode(small().current.view)[0]


def test_an_insert_is_visible_when_its_version_is_done():
    with small() as catalogue:
        insertion = catalogue.insert(new((0, 1, 2), (2, 3, 2)))
        version = insertion.version.result(SECONDS)
        assert insertion.rows.tolist() == [3, 4]
        assert version is catalogue.current
        assert version.rows((0, 1, 2)).tolist() == [0, 3]
        assert version.rows((2,)).tolist() == [4]


def test_what_waits_while_a_trie_is_built_goes_together_into_the_next(gate):
    with small() as catalogue:
        gate.close()
        first = catalogue.insert(new((2, 0, 0)))
        assert gate.started.wait(SECONDS)
        later = [catalogue.insert(new((2, 0, code))) for code in (1, 2, 2)]
        gate.open.set()
        assert first.version.result(SECONDS).rows((2,)).tolist() == [3]
        versions = {insertion.version.result(SECONDS) for insertion in later}
        assert [version.rows((2,)).tolist() for version in versions] == [[3, 4, 5, 6]]
        assert gate.builds == 2


def test_deletes_during_a_build_hold_in_the_version_that_it_makes(gate):
    with small() as catalogue:
        gate.close()
        insertion = catalogue.insert(new((2, 0, 0), (2, 0, 1)))
        assert gate.started.wait(SECONDS)
        during = catalogue.delete([0, 3])  # one row of the catalogue, and one that is being built
        assert during.rows().tolist() == [1, 2]
        gate.open.set()
        after = insertion.version.result(SECONDS)
        assert after.rows().tolist() == [1, 2, 4]
        assert after.number == during.number + 1


def test_a_row_deleted_while_it_waits_never_appears(gate):
    with small() as catalogue:
        gate.close()
        first = catalogue.insert(new((2, 0, 0)))
        assert gate.started.wait(SECONDS)
        second, third = catalogue.insert(new((2, 0, 1))), catalogue.insert(new((2, 0, 2)))
        version = catalogue.delete(second.rows)
        assert version is catalogue.current
        gate.open.set()
        assert first.version.result(SECONDS).rows((2,)).tolist() == [3]
        assert third.version.result(SECONDS).rows((2,)).tolist() == [3, 5]
        assert third.version.result(SECONDS).view.trie.rows((2,)).tolist() == [3, 5]


def test_a_build_of_nothing_but_deleted_rows_is_left_out(gate):
    with small() as catalogue:
        gate.close()
        first = catalogue.insert(new((2, 0, 0)))
        assert gate.started.wait(SECONDS)
        second = catalogue.insert(new((2, 0, 1)))
        catalogue.delete(second.rows)
        gate.open.set()
        assert second.version.result(SECONDS) is first.version.result(SECONDS)
        assert gate.builds == 1


def test_a_build_drops_deleted_rows_and_keeps_their_numbers_valid_for_lists():
    with small() as catalogue:
        insertion = catalogue.insert(new((2, 2, 2), (2, 2, 2)))
        insertion.version.result(SECONDS)
        catalogue.delete([1, 4])
        version = catalogue.insert(new((2, 1, 1))).version.result(SECONDS)
        assert version.view.stock is None
        assert version.view.trie.rows().tolist() == [0, 2, 5, 3]
        catalogue.delete([5])
        version = catalogue.insert(new((0, 0, 0))).version.result(SECONDS)
        catalogue.delete([6])
        version = catalogue.insert(new((0, 0, 0))).version.result(SECONDS)
        assert version.view.trie.num_row_slots == 8
        deny = DenyRows.from_rows(version.view, [[1, 4, 5, 6, 0, 7]])
        assert sorted(decode(version.view, filters=deny)[0]) == [2, 3]
        allow = AllowRows.from_rows(version.view, [[1, 4, 5, 6]])
        assert decode(version.view, filters=allow)[0] == []


def test_rows_that_leave_before_they_come_have_valid_numbers_too(gate):
    with small() as catalogue:
        gate.close()
        catalogue.insert(new((2, 2, 2)))
        assert gate.started.wait(SECONDS)
        insertion = catalogue.insert(new((2, 2, 1), (2, 2, 0)))
        catalogue.delete(insertion.rows[1:])
        gate.open.set()
        version = insertion.version.result(SECONDS)
        assert version.view.trie.rows((2,)).tolist() == [4, 3]
        assert version.view.trie.num_row_slots == 6
        assert sorted(decode(version.view, filters=DenyRows.from_rows(version.view, [[5, 0]]))[0]) == [1, 2, 3, 4]


def test_the_last_row_may_be_deleted_and_the_next_insert_is_then_alone():
    with small() as catalogue:
        empty = catalogue.delete([0, 1, 2])
        assert_equals_a_fresh_trie(empty, {})
        assert catalogue.delete([0, 1, 2]) is empty
        version = catalogue.insert(new((1, 0, 1))).version.result(SECONDS)
        assert_equals_a_fresh_trie(version, {3: (1, 0, 1)})
        assert version.view.trie.num_rows == 1


def test_a_node_with_a_row_in_stock_and_an_allowed_row_but_none_that_is_both_is_dead():
    trie = VersionedTrie(PrefixTrie.from_codes(np.array([[0, 0], [0, 1], [1, 0]])))
    view = trie.delete([0]).view
    assert decode(view, filters=AllowRows.from_rows(view, [[0]]))[0] == []
    assert decode(view, filters=AllowRows.from_rows(view, [[0, 2]]), beam_size=1)[0] == [2]
    assert decode(view, filters=DenyRows.from_rows(view, [[1]]), beam_size=1)[0] == [2]


def test_shares_of_a_shared_leaf_count_only_the_rows_in_stock():
    catalogue = VersionedTrie(PrefixTrie.from_codes(np.array([[0], [0], [0], [0]])))
    assert decode(catalogue.current.view)[1] == pytest.approx([math.log(1 / 4)] * 4)
    rows, scores = decode(catalogue.delete([0, 2]).view)
    assert (rows, scores) == ([1, 3], pytest.approx([math.log(1 / 2)] * 2))


@pytest.mark.parametrize("small_table", [1 << 16, 0])
def test_deletes_and_builds_equal_a_fresh_trie_whether_children_stand_in_tables_or_not(monkeypatch, small_table):
    monkeypatch.setattr(trie.torch_trie, "SMALL_TABLE", small_table)
    random = np.random.default_rng(4)
    sizes = (5, 300, 70000)
    codes = np.stack([random.integers(0, size, 300) for size in (5, 4, 3)], axis=1)
    codes[:, 2] += 69990
    known = dict(enumerate(map(tuple, codes.tolist())))
    with VersionedTrie(PrefixTrie.from_codes(codes[:200], level_sizes=sizes)) as catalogue:
        gone = random.permutation(200)[:60].tolist()
        version = catalogue.delete(gone)
        assert_equals_a_fresh_trie(version, {row: known[row] for row in range(200) if row not in gone}, sizes)
        version = catalogue.insert(codes[200:]).version.result(SECONDS)
        assert_equals_a_fresh_trie(version, {row: known[row] for row in range(300) if row not in gone}, sizes)


def test_the_codes_of_a_trie_are_those_that_it_was_built_from():
    random = np.random.default_rng(0)
    for sizes in [(4, 4, 4), (3, 70000), (2**31, 9), (300,)]:
        codes = np.stack([random.integers(0, size, 80) for size in sizes], axis=1)
        codes[40:] = codes[:40]
        trie = PrefixTrie.from_codes(codes, level_sizes=sizes)
        assert np.stack(list(code_columns(trie.to("cpu")))).T.tolist() == codes[trie.rows()].tolist()


def test_ids_that_end_early_stay_so_and_new_ones_must_be_stopped_to_the_end():
    ended = PrefixTrie.from_codes(np.array([[0, 1, 4], [0, 4, 4]]), level_sizes=(3, 5, 5))  # a stop is the code 4
    with VersionedTrie(replace(ended, has_stop=True)) as catalogue:
        version = catalogue.insert(np.array([[1, 4, 4], [1, 1, 1]])).version.result(SECONDS)
        assert version.view.trie.has_stop
        with pytest.raises(ValueError, match="code 3 of row 1 at level 2 follows a stop"):
            catalogue.insert(np.array([[1, 2, 4], [1, 4, 3]]))


def test_rows_may_have_numbers_of_ones_own_that_rise():
    with small() as catalogue:
        insertion = catalogue.insert(new((2, 0, 0), (2, 0, 1)), rows=np.array([7, 9]))
        assert catalogue.insert(new((2, 0, 2))).rows.tolist() == [10]
        assert insertion.version.result(SECONDS).rows((2,)).tolist()[:2] == [7, 9]
        with pytest.raises(ValueError, match="must be 11 or higher, since none is given twice; got 8"):
            catalogue.insert(new((2, 0, 0)), rows=np.array([8]))


def test_codes_may_be_overwritten_after_the_call(gate):
    with small() as catalogue:
        gate.close()
        codes = new((2, 0, 0))
        insertion = catalogue.insert(codes)
        codes[:] = 1
        gate.open.set()
        assert insertion.version.result(SECONDS).rows((2, 0, 0)).tolist() == [3]


@pytest.mark.parametrize("rows", [[3], [0, -1], [1, 2, 99]])
def test_deletes_of_unknown_rows_are_refused_and_delete_nothing(rows):
    catalogue = small()
    with pytest.raises(ValueError, match=f"row {rows[-1]} is unknown: the numbers given so far are 0..2"):
        catalogue.delete(rows)
    assert catalogue.current.number == 1
    assert catalogue.current.num_rows == 3


def test_codes_that_do_not_fit_are_refused_and_insert_nothing():
    catalogue = small()
    with pytest.raises(ValueError, match=r"code 4 of row 1 at level 1 is outside 0..3"):
        catalogue.insert(new((0, 0, 0), (0, 4, 0)))
    with pytest.raises(ValueError, match="3 entries, but the codes have 2 levels"):
        catalogue.insert(new((0, 0)))
    with pytest.raises(ValueError, match="must be ascending"):
        catalogue.insert(new((0, 0, 0), (0, 0, 0)), rows=np.array([6, 5]))
    assert catalogue.insert(new((0, 0, 0))).rows.tolist() == [3]


def test_a_failed_build_reaches_the_caller_and_the_current_version_serves_on(monkeypatch):
    def out_of_memory(*_, **__):
        raise MemoryError("no room for the next trie")

    with small() as catalogue:
        with monkeypatch.context() as patched:
            patched.setattr(trie.versions, "rebuilt", out_of_memory)
            failed = catalogue.insert(new((2, 0, 0)))
            assert isinstance(failed.version.exception(SECONDS), MemoryError)
            assert catalogue.current.number == 1
            assert catalogue.delete([0]).rows().tolist() == [1, 2]
        version = catalogue.insert(new((2, 0, 1))).version.result(SECONDS)
        assert version.rows().tolist() == [1, 2, 4]  # the number 3 stays unused
        assert catalogue.delete(failed.rows) is version


def test_closing_waits_for_what_waits_and_ends_the_thread(gate):
    catalogue = small()
    gate.close()
    insertions = [catalogue.insert(new((2, 0, code))) for code in range(3)]
    threading.Timer(0.05, gate.open.set).start()
    catalogue.close()
    assert all(insertion.version.done() for insertion in insertions)
    assert catalogue.current.num_rows == 6
    assert not [thread for thread in threading.enumerate() if thread.name == "trie-builder"]
    for change in (lambda: catalogue.insert(new((0, 0, 0))), lambda: catalogue.delete([0])):
        with pytest.raises(RuntimeError, match="closed"):
            change()
    catalogue.close()


def test_the_thread_ends_when_nothing_waits_and_is_a_daemon(gate):
    catalogue = small()
    gate.close()
    insertion = catalogue.insert(new((2, 0, 0)))
    (builder,) = [thread for thread in threading.enumerate() if thread.name == "trie-builder"]
    assert builder.daemon
    gate.open.set()
    insertion.version.result(SECONDS)
    builder.join(SECONDS)
    assert not builder.is_alive()
    assert catalogue.insert(new((2, 0, 1))).version.result(SECONDS).num_rows == 5


def test_what_waits_on_an_insert_may_change_the_catalogue_again():
    with small() as catalogue:
        again = SimpleQueue()
        insertion = catalogue.insert(new((2, 0, 0)))
        insertion.version.add_done_callback(lambda _: again.put(catalogue.insert(new((2, 0, 1)))))
        second = again.get(timeout=SECONDS)  # a future's result may be seen before its callbacks have run
    assert catalogue.current.rows((2,)).tolist() == [3, 4]
    assert second.version.result(SECONDS) is catalogue.current


def test_answers_given_while_others_change_the_catalogue_are_right_for_their_version():
    random = np.random.default_rng(0)
    codes = np.stack([random.integers(0, size, 200) for size in SIZES], axis=1)
    catalogue = VersionedTrie(PrefixTrie.from_codes(codes[:100], level_sizes=SIZES))
    done, answered, answers = threading.Event(), threading.Semaphore(0), []

    def read(seed):
        while not done.is_set():
            version = catalogue.current
            answers.append((version, decode(version.view, score=("joint", "catalog")[seed % 2], seed=seed)[0]))
            answered.release()
            seed += 3

    def change(rows, make):
        """Makes one change for each answer."""
        return [(row, make(row)) for row in rows if answered.acquire(timeout=SECONDS)]

    with ThreadPoolExecutor(5) as threads:
        readers = [threads.submit(read, seed) for seed in range(3)]
        inserts = threads.submit(change, range(100, 200), lambda row: catalogue.insert(codes[row : row + 1]).version)
        deletes = threads.submit(change, range(80), lambda row: catalogue.delete([row]))
        has = {row: version.result(SECONDS).number for row, version in inserts.result()}
        lacks = {row: version.number for row, version in deletes.result()}
        catalogue.close()
        done.set()
        for reader in readers:
            reader.result(SECONDS)
    assert set(catalogue.current.rows().tolist()) == set(range(80, 200))
    assert len({version.number for version, _ in answers}) > 10  # how many depends on the machine's load
    for version, rows in answers:
        assert len(rows) == len(set(rows)) == 5
        assert version.holds(rows).all()
        assert all(version.number < lacks.get(row, math.inf) for row in rows)
        assert all(version.number >= has.get(row, 0) for row in rows)


def test_a_loaded_catalogue_goes_on_where_the_saved_one_was(tmp_path, gate):
    with small() as catalogue:
        catalogue.insert(new((2, 0, 0), (2, 0, 1))).version.result(SECONDS)
        catalogue.delete([4, 1])
        gate.close()
        catalogue.insert(new((2, 2, 2)))  # still waits: it is not saved, but its number 5 was given
        saved = catalogue.save(tmp_path / "catalogue")
        gate.open.set()
    for mmap in (True, False):
        with VersionedTrie.load(tmp_path / "catalogue", mmap=mmap) as loaded:
            assert loaded.current.number == saved.number == 3
            assert_equals_a_fresh_trie(loaded.current, {0: (0, 1, 2), 2: (1, 1, 1), 3: (2, 0, 0)})
            insertion = loaded.insert(new((2, 2, 1)))
            assert insertion.rows.tolist() == [6]
            assert insertion.version.result(SECONDS).rows().tolist() == [0, 2, 3, 6]
            assert insertion.version.result(SECONDS).number == 4


def test_a_catalogue_without_deletes_and_an_empty_one_are_loaded_as_they_were(tmp_path):
    catalogue = small()
    catalogue.save(tmp_path / "catalogue")
    assert VersionedTrie.load(tmp_path / "catalogue").current.view.stock is None
    catalogue.delete([0, 1, 2])
    catalogue.save(tmp_path / "catalogue")
    assert_equals_a_fresh_trie(VersionedTrie.load(tmp_path / "catalogue").current, {})


@pytest.mark.parametrize("failing", ["the trie", "the file that names it"])
def test_a_save_that_fails_leaves_the_older_catalogue(tmp_path, monkeypatch, failing):
    def full_disk(*_, **__):
        raise OSError("no space left")

    catalogue = small()
    catalogue.save(tmp_path)
    catalogue.delete([0])
    with monkeypatch.context() as patched:
        owner, name = (PrefixTrie, "save") if failing == "the trie" else (trie.version_files, "_replace")
        patched.setattr(owner, name, full_disk)
        with pytest.raises(OSError, match="no space left"):
            catalogue.save(tmp_path)
    assert VersionedTrie.load(tmp_path).current.num_rows == 3
    catalogue.save(tmp_path)
    assert VersionedTrie.load(tmp_path).current.num_rows == 2
    assert sorted(path.name[:5] for path in tmp_path.iterdir()) == ["trie-", "versi"]  # nothing is left over


def test_a_flipped_bit_in_any_file_is_refused(tmp_path):
    small().save(tmp_path)
    for path in sorted(path for path in tmp_path.rglob("*") if path.is_file()):
        content = path.read_bytes()
        for place in (0, len(content) // 2, len(content) - 2):
            path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
            with pytest.raises(TrieFileError, match=path.name):
                VersionedTrie.load(tmp_path)
        path.write_bytes(content)
    assert VersionedTrie.load(tmp_path).current.num_rows == 3


@pytest.mark.parametrize(("field", "other"), [("number", "2"), ("next_row", "9"), ("stock", '"AAAAAAAAAAA="')])
def test_a_changed_field_is_refused_unless_nothing_is_verified(tmp_path, field, other):
    small().save(tmp_path)
    path = tmp_path / "version.json"
    text = path.read_text()
    path.write_text(re.sub(rf'"{field}": [^,]+', f'"{field}": {other}', text))
    with pytest.raises(TrieFileError, match=r"version.json is damaged: SHA-256"):
        VersionedTrie.load(tmp_path)
    assert VersionedTrie.load(tmp_path, verify=False).current.view.trie.num_rows == 3


def test_missing_and_mixed_files_are_refused(tmp_path):
    small().save(tmp_path)
    (folder,) = tmp_path.glob("trie-*")
    shutil.rmtree(folder)
    with pytest.raises(TrieFileError, match="is missing"):
        VersionedTrie.load(tmp_path)
    PrefixTrie.from_codes(np.zeros((64, 3), dtype=int)).save(folder)
    with pytest.raises(TrieFileError, match="not of one save"):
        VersionedTrie.load(tmp_path)
    with pytest.raises(TrieFileError, match=r"version.json is missing"):
        VersionedTrie.load(folder)
    with pytest.raises(TrieFileError, match="is missing"):
        PrefixTrie.load(tmp_path)  # it would bring deleted rows back


@pytest.mark.parametrize("name", ["thesis.txt", "trie-of-mine/codes.npy"])
def test_a_folder_of_other_files_is_not_written_into(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("chapter one")
    with pytest.raises(ValueError, match="not a catalogue"):
        small().save(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / name]

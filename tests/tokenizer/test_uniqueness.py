"""Every strategy keeps every item, gives it an ID whatever the order of arrival, and does what its twin does."""

import hashlib
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenizer import SemanticIDs, last_level
from tokenizer.uniqueness import check_collisions

STRATEGIES = ("extra_code", "balanced", "nearest_free", "keep")


def by_hash(item_id):
    return hashlib.blake2b(item_id.encode(), digest_size=8).digest(), item_id


def plain_nearest_free(codes, distances, num_codes, item_ids):
    """One item after the other, each looking through a set of taken codes."""
    result = [tuple(row_codes) for row_codes in codes.tolist()]
    groups = defaultdict(list)
    for row, row_codes in enumerate(result):
        groups[row_codes].append(row)
    taken = set(groups)

    def nearest_first(row):
        return distances[row, codes[row, -1]], by_hash(item_ids[row])

    movers = [row for rows in groups.values() for row in sorted(rows, key=nearest_first)[1:]]
    for row in sorted(movers, key=nearest_first):
        free = [code for code in range(num_codes) if (*result[row][:-1], code) not in taken]
        if free:
            result[row] = (*result[row][:-1], min(free, key=lambda code: (distances[row, code], code)))
            taken.add(result[row])
    return result


class GridTokenizer:
    """Codes of whole-number embeddings by residuals to fixed codebooks; equal embeddings, equal distances."""

    def __init__(self, num_levels, num_codes, dim=2):
        random = np.random.default_rng(4)
        self.codebooks = random.integers(-4, 5, size=(num_levels, num_codes, dim)).astype(np.float64)

    @property
    def level_sizes(self):
        return (self.codebooks.shape[1],) * len(self.codebooks)

    def encode(self, embeddings):
        residuals, codes = embeddings.astype(np.float64), []
        for codebook in self.codebooks:
            codes.append(np.square(residuals[:, None] - codebook).sum(axis=2).argmin(axis=1))
            residuals = residuals - codebook[codes[-1]]
        return np.stack(codes, axis=1)

    def last_level_distances(self, embeddings, codes):
        before = [codebook[level_codes] for codebook, level_codes in zip(self.codebooks[:-1], codes.T, strict=False)]
        residuals = embeddings - sum(before, np.zeros(2))
        return np.square(residuals[:, None] - self.codebooks[-1]).sum(axis=2)

    def save_pretrained(self, path):
        raise NotImplementedError


def ids_of(table):
    return dict(zip(table.item_ids.tolist(), map(tuple, table.codes.tolist()), strict=True))


small_tables = st.integers(1, 24).flatmap(
    lambda num_items: st.tuples(
        st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3)), min_size=num_items, max_size=num_items),
        st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=num_items, max_size=num_items),
    )
)


@settings(max_examples=80, deadline=None)
@given(small_tables)
def test_nearest_free_gives_what_a_search_through_all_free_codes_gives(table):
    codes, distances = np.array(table[0]), np.array(table[1], dtype=np.float64)
    item_ids = [f"item {row}" for row in range(len(codes))]
    ids = SemanticIDs.from_codes(
        codes,
        level_sizes=(2, 4),
        item_ids=item_ids,
        collisions="nearest_free",
        last_level_distances=lambda rows: distances[rows],
    )
    expected = plain_nearest_free(codes, distances, 4, item_ids)
    assert [tuple(row_codes) for row_codes in ids.codes[:, :2].tolist()] == expected
    assert ids.num_moved(codes) == sum(new != tuple(old) for new, old in zip(expected, codes.tolist(), strict=True))
    assert ids.num_sharing == 0


def test_of_three_items_on_a_code_the_nearest_stays_and_the_next_has_the_first_choice():
    codes = np.array([[0, 1], [0, 1], [0, 1], [0, 2]])
    distances = np.array([[5.0, 2, 0, 3], [4, 1, 0, 2], [7, 3, 0, 5], [9, 9, 0, 9]])
    ids = SemanticIDs.from_codes(
        codes, level_sizes=(1, 4), collisions="nearest_free", last_level_distances=lambda rows: distances[rows]
    )
    # item 1 is nearest to code 1 and keeps it; code 2 is taken; item 0 chooses 3, which leaves 0 to item 2
    assert ids.codes.tolist() == [[0, 3], [0, 1], [0, 0], [0, 2]]
    assert (ids.id_length, ids.num_moved(codes), ids.num_sharing) == (2, 2, 0)


def test_nearest_free_leaves_items_alone_that_have_their_codes_alone_and_asks_nothing_about_them():
    random = np.random.default_rng(0)
    codes, distances = random.integers(0, 16, size=(60, 2)), random.random((60, 16))
    asked = set()

    def measure(rows):
        asked.update(rows.tolist())
        return distances[rows]

    ids = SemanticIDs.from_codes(codes, level_sizes=(16, 16), collisions="nearest_free", last_level_distances=measure)
    counts = Counter(map(tuple, codes.tolist()))
    alone = {row for row in range(60) if counts[tuple(codes[row])] == 1}
    assert len(alone) == 48
    assert all(ids.codes[row].tolist() == codes[row].tolist() for row in alone)
    assert asked == set(range(60)) - alone


@pytest.mark.parametrize(
    ("strategy", "level_sizes", "of_each_last_code"),
    [
        ("extra_code", (4, 4, 4, 100), [100]),
        ("nearest_free", (4, 4, 4, 97), [1, 1, 1, 97]),
        ("balanced", (4, 4, 4, 25), [25, 25, 25, 25]),
        ("keep", (4, 4, 4), [100]),
    ],
)
def test_a_hundred_equal_items_are_all_kept(strategy, level_sizes, of_each_last_code):
    embeddings = np.full((100, 2), 3.0, dtype=np.float32)
    item_ids = [f"item {row}" for row in range(100)]
    ids = SemanticIDs.from_tokenizer(GridTokenizer(3, 4), embeddings, item_ids=item_ids, collisions=strategy)
    assert len(ids) == 100
    assert ids.level_sizes == level_sizes
    assert sorted(np.unique(ids.codes[:, 2], return_counts=True)[1].tolist()) == of_each_last_code
    assert ids.num_sharing == (100 if strategy == "keep" else 0)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=25, deadline=None)
@given(
    points=st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=40),
    num_levels=st.integers(1, 3),
    random=st.randoms(),
)
def test_an_item_has_the_same_id_in_whatever_order_the_items_come(strategy, points, num_levels, random):
    tokenizer = GridTokenizer(num_levels, 4)
    embeddings = np.array(points, dtype=np.float32)
    item_ids = np.array([f"item {row}" for row in range(len(points))])
    order = random.sample(range(len(points)), len(points))
    ids = SemanticIDs.from_tokenizer(tokenizer, embeddings, item_ids=item_ids, collisions=strategy)
    shuffled = SemanticIDs.from_tokenizer(tokenizer, embeddings[order], item_ids=item_ids[order], collisions=strategy)
    assert ids_of(shuffled) == ids_of(ids)
    assert shuffled.level_sizes == ids.level_sizes
    assert strategy == "keep" or ids.num_sharing == 0
    assert ids.codes[:, : num_levels - 1].tolist() == tokenizer.encode(embeddings)[:, : num_levels - 1].tolist()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rounding_of_a_matrix_product_does_not_make_the_order_matter(strategy):
    random = np.random.default_rng(1)
    embeddings = np.repeat(random.normal(size=(150, 33)), 4, axis=0)  # 600 items, every four equal
    last_codes = random.normal(size=(32, 33))
    item_ids = np.array([f"item {row}" for row in range(600)])
    codes = np.column_stack([np.arange(600) // 60, (embeddings @ last_codes.T).round(9).argmax(axis=1)])

    def table(order):
        def distances(rows):
            return -2 * embeddings[order][rows] @ last_codes.T + np.square(last_codes).sum(axis=1)

        return SemanticIDs.from_codes(
            codes[order],
            level_sizes=(10, 32),
            item_ids=item_ids[order],
            collisions=strategy,
            last_level_distances=distances,
        )

    expected = ids_of(table(np.arange(600)))
    for _ in range(4):
        assert ids_of(table(random.permutation(600))) == expected


@pytest.mark.parametrize("strategy", ["balanced", "nearest_free"])
def test_distances_are_asked_for_a_few_rows_at_a_time_and_that_changes_no_id(strategy, monkeypatch):
    random = np.random.default_rng(2)
    codes, distances = random.integers(0, 6, size=(200, 2)), random.random((200, 6))
    asked = []

    def distances_of(rows):
        asked.append(len(rows))
        return distances[rows]

    def table():
        return SemanticIDs.from_codes(
            codes, level_sizes=(6, 6), collisions=strategy, last_level_distances=distances_of
        ).fingerprint

    expected = table()
    assert max(asked) > 30
    asked.clear()
    monkeypatch.setattr(last_level, "_DISTANCES_AT_ONCE", 60)
    assert table() == expected
    assert max(asked) == 10


@pytest.mark.parametrize("strategy", ["balanced", "nearest_free"])
def test_a_strategy_that_needs_distances_says_so(strategy, tmp_path):
    with pytest.raises(ValueError, match=f"'{strategy}' needs last_level_distances"):
        SemanticIDs.from_codes(np.array([[0, 1]]), collisions=strategy)
    (tmp_path / "codes.json").write_text('{"pen": [0, 1]}')
    with pytest.raises(ValueError, match=r"codes\.json: collisions .* or 'extra_code' or 'keep' for ready-made codes"):
        SemanticIDs.read(tmp_path / "codes.json", collisions=strategy)


@pytest.mark.parametrize("strategy", ["balanced", "nearest_free"])
@pytest.mark.parametrize(
    ("distances", "message"),
    [
        (np.zeros((2, 3)), r"of shape \(2, 4\) .* but got \(2, 3\)"),
        (np.array([[0, 0, 0, 0], [0, np.nan, 0, 0]]), "row 1 hold NaN or infinity"),
    ],
)
def test_distances_of_another_shape_or_not_finite_are_refused(strategy, distances, message):
    with pytest.raises(ValueError, match=message):
        SemanticIDs.from_codes(
            np.array([[0, 1], [0, 1]]),
            level_sizes=(1, 4),
            collisions=strategy,
            last_level_distances=lambda rows: distances[rows],
        )


def test_an_unknown_strategy_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="one of extra_code, balanced, nearest_free, keep, but is 'drop'"):
        check_collisions("drop")


def test_num_moved_wants_the_codes_of_this_table():
    ids = SemanticIDs.from_codes(np.array([[0, 1], [0, 1]]))
    assert ids.num_moved(np.array([[0, 1], [1, 1]])) == 1
    for codes in (np.zeros((1, 2), dtype=int), np.zeros((2, 5), dtype=int)):
        with pytest.raises(ValueError, match=r"table of \(2, 3\)"):
            ids.num_moved(codes)

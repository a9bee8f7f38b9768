import numpy as np

from tokenizer.canonical_rows import canonical_rows, row_hashes


def items(num_items=300, dim=5):
    return np.random.default_rng(0).normal(size=(num_items, dim)).astype(np.float32)


def test_the_same_items_come_in_the_same_order_however_they_arrive():
    shuffled = items()[np.random.default_rng(1).permutation(300)]
    assert np.array_equal(items()[canonical_rows(items(), seed=7)], shuffled[canonical_rows(shuffled, seed=7)])


def test_another_seed_gives_another_order():
    assert not np.array_equal(canonical_rows(items(), seed=7), canonical_rows(items(), seed=8))


def test_a_sample_is_the_beginning_of_the_order():
    assert canonical_rows(items(), seed=7, max_items=20).tolist() == canonical_rows(items(), seed=7)[:20].tolist()


def test_a_sample_is_spread_over_the_items():
    ordered = np.arange(10_000, dtype=np.float32)[:, None]
    sample = ordered[canonical_rows(ordered, seed=0, max_items=1000), 0]
    assert abs(sample.mean() - 5000) < 300  # a uniform sample's mean strays by 91


def test_hashes_are_those_of_the_plain_loop():
    factors = np.random.default_rng(3).integers(1, 2**63, size=5, dtype=np.uint64) * 2 + 1
    for row, found in zip(items(8), row_hashes(items(8), seed=3), strict=True):
        total = sum(int(bits) * int(factor) for bits, factor in zip(row.view(np.uint32), factors, strict=True)) % 2**64
        assert int(found) == (total ^ (total >> 32)) * 0x9E3779B97F4A7C15 % 2**64


def test_negative_zero_counts_as_zero():
    zeros = np.array([[0.0, 1.0], [-0.0, 1.0]], dtype=np.float32)
    assert len(set(row_hashes(zeros, seed=0).tolist())) == 1

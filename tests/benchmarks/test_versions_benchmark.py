import numpy as np

from benchmarks.versions import Answer, Change, Ledger, Load, made_codes, measure, spread


def answer(version, *lists):
    return Answer(version, np.array(lists), np.ones(len(lists), dtype=bool), 0.001)


def test_a_list_with_a_row_that_had_not_come_or_was_gone_is_counted():
    ledger = Ledger(inserted=[Change(7, 5, 0.1)], deleted=[Change(2, 6, 0.1)])
    right = [answer(4, [0, 2], [2, 1]), answer(5, [7, 2]), answer(6, [7, 1])]
    assert ledger.num_invalid(right, num_rows=8) == 0
    assert ledger.num_invalid([answer(4, [7, 0], [0, 1])], num_rows=8) == 1
    assert ledger.num_invalid([answer(6, [0, 2], [2, 7])], num_rows=8) == 2
    assert ledger.num_invalid([right[0]._replace(is_right=np.array([True, False]))], num_rows=8) == 1


def test_a_short_run_makes_every_change_and_no_wrong_list():
    load = Load(rows=300, seconds=0.3, inserts=20, deletes=30, batch_size=2, beam_size=5)
    figures = measure(load)
    assert figures["invalid_lists"] == 0
    assert figures["lists_while_changing"] > 0
    assert figures["rows_at_the_end"] == 300 + 20 - 30
    assert 1 <= figures["builds"] <= 20
    assert figures["versions_made"] <= 20 + 30


def test_made_codes_repeat_and_lean_to_low_ones():
    codes = made_codes(5000, np.random.default_rng(0))
    assert len(np.unique(codes, axis=0)) < 4950
    assert np.median(codes) < 100


def test_spread_of_the_first_hundred_numbers():
    assert spread(list(range(101))) == {"median": 50, "p99": 99, "longest": 100}

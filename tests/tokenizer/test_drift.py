import json
from importlib import import_module

import numpy as np
import pytest

from tokenizer import reconstruction
from tokenizer.drift import Drift, drift


class Codes:
    """Whole numbers 0..9 on a line: the code of a point is its whole part, and stands for its middle."""

    level_sizes = (10,)

    def __init__(self):
        self.asked = []

    def encode(self, embeddings):
        self.asked.append(len(embeddings))
        return np.clip(np.floor(embeddings), 0, 9).astype(np.int64)

    def last_level_distances(self, embeddings, codes):
        return np.square(embeddings - np.arange(10) - 0.5).astype(np.float64)

    def save_pretrained(self, path):
        raise NotImplementedError


class Line(Codes):
    def decode(self, codes):
        return codes + 0.5


def points(low, high, num_items=1000, seed=0):
    return np.random.default_rng(seed).uniform(low, high, size=(num_items, 1))


def test_the_same_items_do_not_drift():
    items = points(0, 5)
    found = drift(Line(), items, items)
    assert (found.error_ratio, found.median_ratio, found.share_beyond_p95) == (1, 1, 0.05)
    assert (found.usage_divergence_bits, found.items_on_new_codes) == (0, 0)
    assert found.alarm is None


def test_other_items_of_the_same_kind_raise_no_alarm():
    found = drift(Line(), points(0, 5), points(0, 5, seed=1))
    assert found.error_ratio == pytest.approx(1, abs=0.1)
    assert found.share_beyond_p95 == pytest.approx(0.05, abs=0.02)
    assert found.alarm is None


def test_errors_are_relative_to_the_spread_of_the_old_items():
    old = np.array([[0.5], [2.0], [4.0], [5.5]])  # mean 3, squared distances 6.25, 1, 1, 6.25; errors 0, .25, .25, 0
    new = np.array([[1.0], [10.5]])  # errors .25 and, clipped to 9.5, 1
    found = drift(Line(), old, new)
    unit = (6.25 + 1 + 1 + 6.25) / 4
    assert found.old_error == pytest.approx(0.125 / unit)
    assert found.new_error == pytest.approx(0.625 / unit)
    assert found.error_ratio == pytest.approx(5)
    assert found.median_ratio == pytest.approx(5)  # .625 over .125
    assert found.share_beyond_p95 == 0.5


def test_items_that_the_codes_cannot_express_raise_the_alarm_with_a_remedy():
    found = drift(Line(), points(0, 5), points(12, 14))
    assert found.share_beyond_p95 == 1
    assert found.alarm is not None and "100.0 % of them lie beyond 95 %" in found.alarm
    assert "fit the tokenizer again" in found.alarm
    assert "ALARM: the codebooks do not know" in found.table()


def test_another_mix_of_known_codes_diverges_without_an_alarm():
    found = drift(Line(), points(0, 4), np.concatenate([points(0, 1), points(0, 4, num_items=100)]))
    assert found.usage_divergence_bits > 0.3
    assert found.items_on_new_codes == 0
    assert found.alarm is None


def test_items_on_codes_that_no_old_item_has_are_counted():
    found = drift(Line(), points(0, 5), np.concatenate([points(0, 5), points(7, 8, num_items=30)]))
    assert found.items_on_new_codes == 30


def test_fewer_than_twenty_new_items_judge_nothing():
    found = drift(Line(), points(0, 5), points(12, 14, num_items=19))
    assert found.share_beyond_p95 == 1
    assert found.alarm is None
    assert "note: fewer than 20 new items judge nothing" in found.table()
    assert drift(Line(), points(0, 5), points(12, 14, num_items=20)).alarm is not None


def test_with_few_old_items_per_code_the_errors_are_doubted_and_nothing_is_alarmed():
    found = drift(Line(), points(0, 5, num_items=60), points(12, 14))
    assert found.alarm is None
    assert found.doubt is not None and "with 6.0 old items per code" in found.table()


def test_items_that_are_met_exactly_have_no_ratio_and_still_raise_the_alarm():
    found = drift(Line(), np.repeat(np.arange(5), 100)[:, None] + 0.5, points(0, 5))
    assert (found.old_error, found.error_ratio, found.median_ratio) == (0, None, None)
    assert found.alarm is not None


def test_without_decode_there_are_no_errors_but_usage():
    found = drift(Codes(), points(0, 5), points(7, 8))
    assert found.old_error is found.new_error is found.error_ratio is found.share_beyond_p95 is None
    assert (found.usage_divergence_bits, found.items_on_new_codes, found.alarm) == (1, 1000, None)
    assert found.table().splitlines()[1].split() == ["old", "1,000", "-", "-", "-", "-"]


def test_known_old_codes_are_not_made_again():
    line = Line()
    items = points(0, 5)
    assert drift(line, items, items[:30], old_codes=Line().encode(items)) == drift(Line(), items, items[:30])
    assert line.asked == [30]


def test_figures_do_not_depend_on_the_chunks(monkeypatch):
    old, new = points(0, 5), points(1, 7, num_items=300)
    whole = drift(Line(), old, new).as_dict()
    monkeypatch.setattr(reconstruction, "ENCODE_ITEMS", 64)
    monkeypatch.setattr(import_module("tokenizer.drift"), "ENCODE_ITEMS", 64)
    line = Line()
    split = drift(line, old, new).as_dict()
    assert max(line.asked) == 64
    assert [split.pop(name) for name in ("alarm", "doubt")] == [whole.pop(name) for name in ("alarm", "doubt")]
    assert split == pytest.approx(whole, rel=1e-12)


def test_the_table_sets_new_beside_old_and_the_dict_is_json():
    found = Drift(12_000, 300, 0.41, 0.4305, 1.05, 1.02, 0.06, 0.0213, 2, 46.9)
    assert found.table().splitlines() == [
        "items  number  error  ratio  median ratio  beyond p95",
        "  old  12,000  0.410   1.00          1.00       5.0 %",
        "  new     300  0.430   1.05          1.02       6.0 %",
        "first-level usage diverges by 0.021 bits, 2 new items on codes unused before",
    ]
    assert json.loads(json.dumps(found.as_dict()))["alarm"] is None


def test_nothing_to_compare_is_refused():
    with pytest.raises(ValueError, match="expected old and new items, but got 1000 and 0"):
        drift(Line(), points(0, 5), np.empty((0, 1)))
    with pytest.raises(ValueError, match="all alike"):
        drift(Line(), np.ones((30, 1)), points(0, 5))
    with pytest.raises(ValueError, match="got 7 old_codes for 1000 old items"):
        drift(Line(), points(0, 5), points(0, 5), old_codes=np.zeros((7, 1), dtype=np.int64))


def test_embeddings_that_are_not_finite_are_refused_with_their_row():
    new = points(0, 5)
    new[3] = np.inf
    with pytest.raises(ValueError, match=r"new embeddings .* row 3"):
        drift(Line(), points(0, 5), new)

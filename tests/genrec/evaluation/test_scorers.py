"""The loop over cases: which history and which target each case has, and that its batches do not show."""

import numpy as np
import pytest

from genrec.data.interactions import Interactions
from genrec.data.splits import Cases
from genrec.evaluation.scorers import evaluate_scorer, scorer_places, scorer_standings


class NewestFirst:
    """Scores the newest item of a history highest, then the others by row."""

    def __init__(self, num_items):
        self.num_items = num_items
        self.asked = []

    def scores(self, histories):
        self.asked += [history.tolist() for history in histories]
        scores = np.tile(-np.arange(self.num_items, dtype=np.float32), (len(histories), 1))
        scores[np.arange(len(histories)), [history[-1] for history in histories]] = 1.0
        return scores


def interactions_of(*sequences, num_items):
    return Interactions(
        user_ids=np.array([f"u{user}" for user in range(len(sequences))]),
        item_ids=np.array([f"i{row}" for row in range(num_items)]),
        offsets=np.cumsum([0, *map(len, sequences)]).astype(np.int64),
        items=np.concatenate(sequences).astype(np.int32),
        times=None,
    )


INTERACTIONS = interactions_of([3, 1, 0], [2, 5, 5], [4, 0, 7], num_items=8)
CASES = Cases(users=np.array([0, 1, 2]), ends=np.array([2, 5, 8]))


def test_history_is_everything_before_the_target():
    scorer = NewestFirst(8)
    evaluate_scorer(scorer, INTERACTIONS, CASES)
    assert scorer.asked == [[3, 1], [2, 5], [4, 0]]


def test_places_with_and_without_the_history():
    places = scorer_places(NewestFirst(8), INTERACTIONS, CASES)
    assert places.unfiltered.ranks.tolist() == [1.0, 0.0, 7.0]
    assert places.history_filtered.ranks.tolist() == [0.0, np.inf, 5.0]  # the second target repeats its history


def test_metrics_of_both_protocols_are_stored_under_the_name_of_the_part():
    metrics = evaluate_scorer(NewestFirst(8), INTERACTIONS, CASES, part="validation")
    assert list(metrics) == ["validation", "validation_history_filtered"]
    assert metrics["validation"]["recall@5"] == pytest.approx(2 / 3)
    assert metrics["validation_history_filtered"]["recall@5"] == pytest.approx(1 / 3)
    assert metrics["validation_history_filtered"]["recall@10"] == pytest.approx(2 / 3)


def test_candidates_at_50_is_the_recall_of_a_scorers_own_fifty_best():
    catalogue = interactions_of([0, 1, 49], [0, 1, 50], num_items=60)
    cases = Cases(users=np.array([0, 1]), ends=np.array([2, 5]))
    metrics = evaluate_scorer(NewestFirst(60), catalogue, cases)  # item 1 first, then 0, 2, 3, ..: 49 is the 50th
    assert metrics["test"]["candidates@50"] == 0.5
    assert metrics["test_history_filtered"]["candidates@50"] == 1.0


def test_lists_of_ten_are_counted_by_item_with_and_without_the_history():
    found = scorer_standings(
        NewestFirst(12), interactions_of([3, 1, 0], num_items=12), Cases(np.array([0]), np.array([2]))
    )
    assert found.unfiltered.times_listed.tolist() == [1] * 10 + [0] * 2
    assert found.history_filtered.times_listed.tolist() == [1, 0, 1, 0] + [1] * 8


def test_batches_do_not_change_the_metrics_and_progress_counts_cases():
    seen = []
    one_at_a_time = evaluate_scorer(
        NewestFirst(8), INTERACTIONS, CASES, batch_size=2, progress=lambda done, total: seen.append((done, total))
    )
    assert one_at_a_time == evaluate_scorer(NewestFirst(8), INTERACTIONS, CASES)
    assert seen == [(2, 3), (3, 3)]


def test_no_cases_is_an_error():
    nobody = Cases(users=np.array([], dtype=np.int64), ends=np.array([], dtype=np.int64))
    with pytest.raises(ValueError, match="at least one case"):
        evaluate_scorer(NewestFirst(8), INTERACTIONS, nobody)

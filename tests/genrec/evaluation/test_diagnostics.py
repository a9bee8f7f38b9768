"""What is said of a run as a whole; each figure has tests of its own."""

import numpy as np
import pytest
import torch

from genrec.data.interactions import Interactions
from genrec.data.splits import leave_one_out
from genrec.data.splits import test_cases as cases_of_test
from genrec.evaluation.diagnostics import CaseSet, collapse_alarms, diagnose, nll_alarms
from genrec.evaluation.metrics import Places
from genrec.evaluation.scorers import Standing, scorer_standings
from genrec.evaluation.target_paths import TargetPaths
from genrec.generator.vocabulary import Vocabulary

USERS, ITEMS = 40, 400


class Scores:
    """Ten items above the others: the same for all, or each user's own."""

    def __init__(self, *, constant):
        self.constant = constant

    def scores(self, histories):
        scores = np.zeros((len(histories), ITEMS), dtype=np.float32)
        for row, history in enumerate(histories):
            first = 0 if self.constant else int(history[0])
            scores[row, first : first + 10] = 1.0
        return scores


@pytest.fixture
def tested():
    sequences = [[9 * user, 9 * user + 1, 9 * user + 2, 9 * user + 3] for user in range(USERS)]
    interactions = Interactions(
        user_ids=np.array([f"u{user:02d}" for user in range(USERS)]),
        item_ids=np.array([f"i{row:03d}" for row in range(ITEMS)]),
        offsets=np.arange(0, 4 * USERS + 1, 4),
        items=np.concatenate(sequences).astype(np.int32),
    )
    splits = leave_one_out(interactions)
    return CaseSet(interactions, splits, cases_of_test(interactions, splits))


@pytest.fixture
def vocabulary():
    made = Vocabulary(ITEMS, (20, 20))
    made.set_codes(torch.tensor([divmod(row, 20) for row in range(ITEMS)]))
    return made


def diagnosed(tested, vocabulary, *, constant, nll):
    found = scorer_standings(Scores(constant=constant), tested.interactions, tested.cases)
    standings = {
        protocol: {"generator": standing, "generator_codes": standing}
        for protocol, standing in zip(("test", "test_history_filtered"), found, strict=True)
    }
    paths = TargetPaths(np.tile(np.float32(nll), (USERS, 1)), {10: np.full(USERS, 2), 50: np.arange(USERS) % 2})
    return diagnose(vocabulary, tested, standings=standings, paths=paths)


def test_the_alarm_goes_off_when_everybody_gets_the_same(tested, vocabulary):
    found = diagnosed(tested, vocabulary, constant=True, nll=[0.5, 0.5])
    assert found["coverage"]["test"]["generator"]["distinct_items"] == 10
    assert len(found["alarms"]) == 2  # for both readings
    assert "generator has collapsed: all its lists of ten hold 10 different items" in found["alarms"][0]


def test_no_alarm_goes_off_for_a_sound_run(tested, vocabulary):
    found = diagnosed(tested, vocabulary, constant=False, nll=[0.5, 0.5])
    assert found["alarms"] == []
    assert not found["coverage"]["test"]["generator"]["collapsed"]


def test_survival_nll_and_slices_are_those_of_all_cases(tested, vocabulary):
    found = diagnosed(tested, vocabulary, constant=False, nll=[1.5, 0.25])
    assert found["survival"] == {"10": [1.0, 1.0], "50": [0.5, 0.0]}
    assert found["nll"]["generator"] == [1.5, 0.25]
    assert found["nll"]["uniform"] == pytest.approx([np.log(20)] * 2)
    popularity = found["slices"]["popularity"]
    assert [part["cases"] for part in popularity.values()] == [USERS, 0, 0, 0, 0]  # no target is in any training part
    assert popularity["0"]["test"]["generator"]["recall@10"] == 1.0
    assert [part["cases"] for part in found["slices"]["history_length"].values()] == [USERS, 0, 0, 0]


def test_a_first_code_no_better_than_counting_is_dead_however_good_the_others_are(tested, vocabulary):
    counted = diagnosed(tested, vocabulary, constant=False, nll=[0.5, 0.5])["nll"]["by_prefix"][0]
    assert counted == pytest.approx(np.log(20), rel=0.05)  # the items are spread evenly
    found = diagnosed(tested, vocabulary, constant=False, nll=[3.5, 0.01])
    assert found["alarms"][0].startswith("the first code is dead: its NLL is 3.500")


def test_later_codes_and_other_methods_sound_no_alarm():
    assert nll_alarms({"generator": [1.0, 9.0], "by_prefix": [2.0, 1.0]}) == []
    sound, collapsed = {"collapsed": False, "distinct_items": 90}, {"collapsed": True, "distinct_items": 10}
    coverage = {"test": {"generator": sound, "generator_codes": sound, "popularity": collapsed}}
    assert collapse_alarms(coverage) == []


def test_a_target_below_the_list_is_in_no_figure_of_its_slice(tested, vocabulary):
    nowhere = Standing(Places(np.full(USERS, np.inf), np.full(USERS, np.inf)), np.ones(ITEMS, dtype=np.int64))
    standings = {"test": {"generator": nowhere, "generator_codes": nowhere}}
    paths = TargetPaths(np.zeros((USERS, 2), dtype=np.float32), {10: np.zeros(USERS, dtype=np.int64)})
    found = diagnose(vocabulary, tested, standings=standings, paths=paths)
    assert found["slices"]["popularity"]["0"]["test"]["generator"] == {"recall@10": 0.0, "ndcg@10": 0.0}

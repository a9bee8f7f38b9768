"""Parts of the users, by the run's own cases."""

import pytest

from genrec.artifacts import RunFolder
from genrec.evaluation.metrics import recall_at
from genrec.report.methods import compared, lead_over, methods_of, strongest_baselines
from genrec.report.record import FILTERED, RunRecord
from genrec.report.slices import slices_by_history, slices_by_popularity


@pytest.fixture(scope="module")
def record(world_run):
    return RunRecord.read(RunFolder(world_run))


@pytest.mark.parametrize("slices_by", [slices_by_popularity, slices_by_history])
def test_slices_are_all_cases_and_their_recalls_add_up(record, slices_by):
    methods = methods_of(record)
    slices = slices_by(record, methods)
    assert sum(each.num_cases for each in slices) == record.metrics["users"]
    for method in methods:
        found = sum(each.recalls[method.name] * each.num_cases for each in slices if each.num_cases)
        assert found / record.metrics["users"] == pytest.approx(method.figures[FILTERED]["recall@10"])


def test_a_slice_without_users_has_neither_recalls_nor_intervals(record):
    empty = [each for each in slices_by_history(record, methods_of(record)) if not each.num_cases]
    assert empty and all(each.recalls == {} and each.intervals == {} for each in empty)


def test_intervals_are_about_the_recall_of_their_slice(record):
    for each in slices_by_popularity(record, methods_of(record)):
        for name, interval in each.intervals.items():
            assert interval.mean == pytest.approx(each.recalls[name])
            assert interval.low <= interval.mean <= interval.high


def test_a_lead_is_the_difference_of_two_recalls_over_the_same_users(record):
    own, other = methods_of(record)[0], strongest_baselines(methods_of(record), FILTERED)[0]
    lead = lead_over(record, own, other)
    assert lead is not None
    assert lead.mean == pytest.approx(own.figures[FILTERED]["recall@10"] - other.figures[FILTERED]["recall@10"])
    last = slices_by_popularity(record, [own, other])[-1]
    within = lead_over(record, own, other, cases=last.cases)
    assert within is not None and within.mean == pytest.approx(last.recalls[own.name] - last.recalls[other.name])


def test_ranks_of_a_trained_baseline_are_those_of_its_figures(record):
    ranks = record.places[FILTERED]["sasrec"].ranks
    assert recall_at(ranks, 10) == pytest.approx(record.metrics["baselines"]["sasrec"][FILTERED]["recall@10"], abs=0.02)


def test_a_picture_holds_the_generators_lists_three_baselines_and_the_oracle(record):
    names = [method.name for method in compared(methods_of(record), FILTERED)]
    assert names[:2] == ["generator", "generator_codes"] and names[-1] == "oracle" and len(names) == 6

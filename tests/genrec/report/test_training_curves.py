"""Logs of stopped, resumed and repeated trainings; each step is drawn once."""

import json

import pytest

from genrec.errors import ArtifactError
from genrec.report.training import best_validation, values_of
from genrec.report.training_curves import curves_of, read_log


def trained(step, loss=1.0):
    return {"event": "trained", "step": step, "loss": loss}


def validated(step, ndcg):
    return {"event": "validated", "step": step, "ndcg@10": ndcg}


def resumed(step):
    return {"event": "resumed", "step": step}


def test_steps_that_were_done_again_are_drawn_as_they_were_done_last():
    curves = curves_of([trained(1), trained(50), trained(100, 9.0), resumed(60), trained(61), trained(100, 3.0)])
    assert [(event["step"], event["loss"]) for event in curves.trained] == [(1, 1.0), (50, 1.0), (61, 1.0), (100, 3.0)]
    assert curves.resumed_at == [60]


def test_a_training_that_begins_again_is_another_one():
    old = [trained(1), trained(50), validated(50, 0.9), resumed(50), trained(51)]
    curves = curves_of([*old, {"event": "trained to the end", "step": 51}, trained(1, 7.0), validated(20, 0.1)])
    assert [event["loss"] for event in curves.trained] == [7.0]
    assert [event["step"] for event in curves.validated] == [20] and curves.resumed_at == []


def test_a_validation_that_was_stopped_and_done_again_counts_once():
    curves = curves_of(
        [trained(1), validated(10, 0.2), resumed(10), validated(10, 0.2), trained(11), validated(20, 0.3)]
    )
    assert [event["step"] for event in curves.validated] == [10, 20]


def test_resumes_that_were_taken_back_are_forgotten():
    curves = curves_of([trained(1), resumed(40), trained(41), resumed(20), trained(21), resumed(20), trained(21)])
    assert curves.resumed_at == [20] and [event["step"] for event in curves.trained] == [1, 21]


def test_the_best_validation_is_the_first_of_the_highest():
    assert best_validation([validated(5, 0.1), validated(10, 0.3), validated(15, 0.3)])["step"] == 10


def test_a_line_that_is_being_written_is_left_out_and_figures_that_are_no_numbers_are_gaps(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps(trained(1)) + "\n" + json.dumps(trained(2, "nan")) + '\n{"event": "tra')
    events = read_log(log)
    assert [event["step"] for event in events] == [1, 2]
    first, second, third = *values_of(events, "loss"), values_of(events, "other")[0]
    assert first == 1.0 and second != second and third != third


def test_a_damaged_line_is_named(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text("{}\nnonsense\n{}\n")
    with pytest.raises(ArtifactError, match=r"log\.jsonl, line 2 is not JSON"):
        read_log(log)


def test_no_log_has_no_events(tmp_path):
    assert read_log(tmp_path / "log.jsonl") == []
    assert curves_of([]) == ([], [], [])

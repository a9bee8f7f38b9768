"""Sentences and losses by code, from figures that can be checked by hand."""

import pytest

from genrec.report.decoding import losses_by_code, nll_picture, on_nll, on_survival, survival_picture, widest

SURVIVAL = {"10": [0.5, 0.4, 0.39], "100": [0.9, 0.6, 0.55]}


def test_what_each_code_loses_is_the_step_down_from_the_one_before():
    assert losses_by_code([0.9, 0.6, 0.55]) == pytest.approx([0.1, 0.3, 0.05])


def test_the_widest_beam_is_the_largest_number_not_the_last_text():
    assert widest({"9": [1.0], "100": [1.0], "20": [1.0]}) == "100"


def test_the_code_that_loses_most_is_named_with_its_loss():
    assert "In a beam of 100, code 2 loses most: 30.0 %" in on_survival(SURVIVAL)
    assert survival_picture(SURVIVAL).title == "A beam of 100 loses most targets at code 2: 30.0 % of all"


def test_one_level_has_one_share_and_no_code_that_loses_most():
    assert on_survival({"3": [0.25]}) == "A beam of 3 holds 25.0 % of the targets after the only code."
    assert survival_picture({"3": [0.25]}).title == "A beam of 3 holds 25.0 % of the targets"


def test_codes_at_which_counting_is_as_good_are_named():
    nll = {"by_prefix": [3.0, 2.0], "uniform": [4.0, 4.0], "by_prefix_and_last_item": [2.5, 1.0]}
    assert "at code 2 it is no better than counting" in on_nll(nll | {"generator": [2.0, 1.0]})
    assert "ahead at every code" in on_nll(nll | {"generator": [2.0, 0.5]})
    assert (
        nll_picture(nll | {"generator": [2.0, 0.5]}).title == "The generator needs 1.00 nats an ID less than counting"
    )

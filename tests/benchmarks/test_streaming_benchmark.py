import pytest

from benchmarks.streaming import growth, made_run, trained
from genrec.data.prepared import read_prepared


def test_growth_is_that_of_the_last_peak_over_the_first():
    assert growth([{"peak_mb": 500.0}, {"peak_mb": 900.0}, {"peak_mb": 550.0}]) == pytest.approx(0.1)


def test_a_made_run_has_its_users_and_trains_all_of_them_once(tmp_path):
    run = made_run(tmp_path / "run", 300)
    prepared = read_prepared(run)
    lengths = prepared.interactions.offsets[1:] - prepared.interactions.offsets[:-1]
    assert len(lengths) == 300 and lengths.min() >= 4 and 8 < lengths.mean() < 12
    found = trained({"run": str(run)})
    assert found["steps"] == 1 and found["peak_mb"] > 100

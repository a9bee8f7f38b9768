"""The file of per-case figures: what was written is what is read."""

import numpy as np
import pytest

from genrec.errors import ArtifactError
from genrec.evaluation.case_figures import CaseFigures
from genrec.evaluation.metrics import Places

INF = np.inf


def test_what_is_written_is_read_again(tmp_path):
    own = Places(np.array([0.0, INF]), np.array([0.0, INF]))
    tied = Places(np.array([3.0, 1e6]), np.array([2e6, 1e6]))
    written = CaseFigures(
        user_ids=np.array(["a", "b"], dtype=object),
        target_ids=np.array(["i", "ö"], dtype=object),
        places={"test": {"generator": own, "transitions": tied}, "test_history_filtered": {"generator": tied}},
        survived={10: np.array([0, 3]), 50: np.array([2, 3])},
        nll=np.array([[0.5, 2.0], [1.0, 0.25]], dtype=np.float32),
    )
    written.write(tmp_path)
    read = CaseFigures.read(tmp_path)
    assert (read.user_ids.tolist(), read.target_ids.tolist()) == (["a", "b"], ["i", "ö"])
    assert {name: list(methods) for name, methods in read.places.items()} == {
        "test": ["generator", "transitions"],
        "test_history_filtered": ["generator"],
    }
    for protocol, methods in written.places.items():
        for method, places in methods.items():
            np.testing.assert_array_equal(np.stack(read.places[protocol][method]), np.stack(places))
    assert {size: levels.tolist() for size, levels in read.survived.items()} == {10: [0, 3], 50: [2, 3]}
    assert read.nll.tolist() == written.nll.tolist()


def test_a_run_without_the_file_says_how_to_get_it(tmp_path):
    with pytest.raises(ArtifactError, match=f"genrec evaluate {tmp_path}"):
        CaseFigures.read(tmp_path)

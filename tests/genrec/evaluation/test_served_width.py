"""The evaluation searches as widely as lists are served."""

import pytest

from genrec import Recommender, run_pipeline
from genrec.data.prepared import read_prepared
from genrec.data.splits import test_cases as cases_of_test
from genrec.evaluation.evaluate import rank_cases
from genrec.evaluation.metrics import metrics_at

WORLD = (
    "data.world.num_items=150",
    "data.world.num_users=120",
    "tokenizer.codebook_size=8",
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "training.epochs=1",
    "recommendation.beam_size=3",
    "recommendation.candidates=3",
    "evaluation.survival_beam_sizes=[3]",
    "evaluation.baselines=[popularity]",
)


@pytest.mark.parametrize(("choice", "beam_size"), [((), 3), (("evaluation.beam_size=60",), 60)])
def test_what_is_measured_is_what_is_served_unless_a_width_is_named(tmp_path, choice, beam_size):
    result = run_pipeline("demo", overrides=(*WORLD, *choice), out=tmp_path / "run")
    recommender, prepared = Recommender.from_pretrained(result.path), read_prepared(result.path)
    cases = cases_of_test(prepared.interactions, prepared.splits)
    ranks = {
        size: rank_cases(recommender, prepared.interactions, cases, exclude_history=False, beam_size=size)
        for size in (3, 60)
    }
    assert ranks[3].codes.tolist() != ranks[60].codes.tolist()
    found = metrics_at(ranks[beam_size].blend)
    assert {name: result.metrics["test"][name] for name in found} == pytest.approx(found)

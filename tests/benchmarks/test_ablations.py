import pytest

from benchmarks import ablations
from benchmarks.ablations import CHANGES, PARTS, cells_of, measured, summarise
from benchmarks.tokenizer_quality import Cell
from genrec import load_config

TINY = (
    "data.world.num_items=60",
    "data.world.num_users=80",
    "tokenizer.codebook_size=8",
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "training.epochs=1",
    "evaluation.baselines=[]",
)


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "default"])
def test_every_change_is_a_valid_config_and_changes_it(name):
    changed = load_config("office", CHANGES[name])
    assert changed != load_config("office")


def test_changes_are_asked_for_by_name_seed_by_seed():
    cells = cells_of("dropout .4; default", ["deep:generator.encoder_layers=6"], [0, 1])
    assert [cell.key for cell in cells] == [
        "dropout .4-0",
        "default-0",
        "deep-0",
        "dropout .4-1",
        "default-1",
        "deep-1",
    ]
    assert len(cells_of("", [], [3])) == len(CHANGES)


def test_an_unknown_change_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match="no change called 'msl'; expected one of: default; "):
        cells_of("msl", [], [0])


def test_a_run_leaves_its_figures_and_a_bad_one_its_reason(tmp_path):
    found = measured(
        "demo", tmp_path / "run", Cell("joint scores", 0, CHANGES["joint scores"]), [*TINY, *CHANGES["joint scores"]]
    )
    assert set(PARTS) <= set(found) and 0 <= found["validation"]["ndcg@10"] <= 1 and found["blend"]["blend_weight"] >= 0
    failed = measured("demo", tmp_path / "bad", Cell("bad", 0, ("x",)), [*TINY, "generator.width=15"])
    assert "num_heads" in failed["failed"]


def test_means_are_over_the_seeds_and_the_best_validation_is_first(capsys):
    def cell(name, seed, ndcg):
        part = {"ndcg@10": ndcg, "recall@10": 0.1, "candidates@50": 0.2}
        return {"name": name, "seed": seed, "train_seconds": 5.0, **dict.fromkeys(PARTS, part)}

    rows = summarise([cell("a", 0, 0.1), cell("a", 1, 0.3), cell("b", 0, 0.25), {"name": "c", "failed": "why"}])
    assert [(row["name"], row["validation"]["ndcg@10"]) for row in rows] == [("b", 0.25), ("a", pytest.approx(0.2))]
    ablations.print_table(rows, markdown=True)
    assert "| a | 2 | 0.2000 |" in capsys.readouterr().out

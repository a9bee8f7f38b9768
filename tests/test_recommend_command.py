"""`genrec recommend` with conditions and proofs, and `genrec explain`, on a small trained run."""

import json
import sys
from unittest.mock import patch

import duckdb
import pytest

from genrec import Recommender, cli, run_pipeline

SMALL = (
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "training.epochs=1",
    "tokenizer.kind=residual_kmeans",
    "tokenizer.codebook_size=4",
    "tokenizer.num_levels=2",
    "embeddings.encoder=tfidf",
    "evaluation.baselines=[]",
)
ITEMS = [f"i{number}" for number in range(12)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run of twelve items with a brand and a price."""
    folder = tmp_path_factory.mktemp("shop")
    items = [
        {"item_id": item, "title": f"{('red', 'blue', 'green')[row % 3]} thing", "brand": "AB"[row % 2], "price": row}
        for row, item in enumerate(ITEMS)
    ]
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, items)))
    lines = [
        {"user_id": f"u{user}", "item_ids": [ITEMS[(user + step) % 12] for step in range(5)]} for user in range(30)
    ]
    (folder / "sequences.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = {
        "format": "sequences",
        "interactions": str(folder / "sequences.jsonl"),
        "items": str(folder / "items.jsonl"),
    }
    (folder / "shop.yaml").write_text(json.dumps({"data": data}))
    run_pipeline(str(folder / "shop.yaml"), overrides=SMALL, out=folder / "run")
    return folder / "run"


@pytest.fixture
def call(run, capsys):
    """Calls a command on the run: its exit code, and what it printed on stdout and on stderr."""

    def invoke(command, *arguments):
        argv = ["genrec", command, str(run), *map(str, arguments)]
        with patch.object(sys, "argv", argv), pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return invoke


def ids(answer):
    return {entry["item_id"] for entry in answer["recommendations"]}


def test_conditions_are_typed_on_the_command_line(call):
    options = ("--history", "i1", "--json", "--where", "price>=4", "--where", "price<=9", "--where", "brand!=B")
    code, out, _ = call("recommend", *options)
    assert code == 0 and ids(json.loads(out)) == {"i4", "i6", "i8"}


@pytest.mark.parametrize(
    ("condition", "message"),
    [("brnad=A", "did you mean 'brand'"), ("price<9", "write column=value"), ("price>=99", "no item of the catalogue")],
)
def test_conditions_that_make_no_sense_end_with_code_two(call, condition, message):
    code, out, err = call("recommend", "--history", "i1", "--where", condition)
    assert code == 2 and out == "" and message in err


def test_a_proof_is_asked_for_on_the_command_line(call):
    code, out, err = call("recommend", "--history", "i1", "-k", "4", "--rank", "codes", "--exact", "--json")
    answer = json.loads(out)
    assert code == 0 and answer["exact"] is True and answer["certified"] == len(answer["recommendations"]) == 4
    assert "proven" not in err


def test_a_proof_of_a_blend_is_refused_with_the_option_that_mends_it(call):
    code, _, err = call("recommend", "--history", "i1", "--exact")
    assert code == 2 and "codes" in err


def test_a_proof_that_the_budget_does_not_reach_is_told(run, call):
    config = run / "config.yaml"
    before = config.read_text()
    config.write_text(before.replace("exact_beam_budget: 4096", "exact_beam_budget: 1"))
    try:
        answers = [call("recommend", "--history", item, "-k1", "--rank=codes", "--exact", "--json") for item in ITEMS]
    finally:
        config.write_text(before)
    unproven = [err for _, out, err in answers if not json.loads(out)["exact"]]
    assert unproven and all(
        "only the first 0 are proven; raise recommendation.exact_beam_budget" in err for err in unproven
    )


def test_bulk_answers_say_how_far_they_are_proven(call, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"item_ids": ["i1"]}\n{"item_ids": ["nope"]}\n')
    options = ("--histories", tmp_path / "in.jsonl", "--rank", "codes", "--exact", "--where", "brand=A", "--out")
    for name in ("out.jsonl", "out.parquet"):
        code, out, _ = call("recommend", *options, tmp_path / name)
        assert code == 0 and json.loads(out)["exact"] == 1
    first, second = map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    assert first["certified"] == len(first["item_ids"]) == 6 and second["certified"] is None
    assert duckdb.sql(f"SELECT certified FROM '{tmp_path / 'out.parquet'}'").fetchall() == [(6,), (None,)]


def test_a_cap_is_asked_for_on_the_command_line(call, run):
    recommender = Recommender.from_pretrained(run)
    codes = recommender.generator.vocabulary.item_codes
    first_code = {item: int(codes[row, 0]) for item, row in recommender.catalogue.row_of.items()}
    options = ("--history", "i1", "-k", "8", "--rank", "codes", "--json")
    counts = []
    for cap in ((), ("--max-per-prefix", "1", "--prefix-depth", "1")):
        code, out, _ = call("recommend", *options, *cap)
        here = [first_code[entry["item_id"]] for entry in json.loads(out)["recommendations"]]
        counts.append(max(map(here.count, here)))
        assert code == 0
    assert counts[0] > 1 and counts[1] == 1
    code, _, err = call("recommend", *options, "--prefix-depth", "1")
    assert code == 2 and "give max_per_prefix too" in err


def test_a_sample_is_repeated_by_its_seed_and_keeps_to_filters(call):
    options = ("--history", "i1,i2", "-k", "4", "--where", "brand=A", "--json")
    samples = []
    for seed in ("1", "1", "2", "3", "4"):
        code, out, _ = call("sample", *options, "--seed", seed, "--temperature", "2")
        samples.append([entry["item_id"] for entry in json.loads(out)["recommendations"]])
        assert code == 0 and json.loads(out)["exact"] and len(set(samples[-1])) == 4
        assert set(samples[-1]) <= {"i0", "i4", "i6", "i8", "i10"}  # brand A without the history
    assert samples[0] == samples[1] and len(set(map(tuple, samples))) > 1


def test_bulk_samples_are_those_of_one_call_with_the_same_seed(call, run, tmp_path):
    lines = [["i1"], ["nope"], ["i1"], ["i3", "i4"]]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"item_ids": line}) for line in lines))
    with patch("genrec.recommendation.files._HISTORIES_AT_ONCE", 2):
        code, out, _ = call(
            "sample", "--histories", tmp_path / "in.jsonl", "--out", tmp_path / "out.jsonl", "-k", "5", "--seed", "7"
        )
    assert code == 0 and json.loads(out)["histories"] == 4 and json.loads(out)["exact"] == 3
    found = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    recommender = Recommender.from_pretrained(run)
    together = recommender.sample([["i1"], ["i5"], ["i1"], ["i3", "i4"]], 5, seed=7)  # the second line draws nothing
    for place in (0, 2, 3):
        assert found[place]["item_ids"] == [entry.item_id for entry in together[place]]
    assert found[0]["item_ids"] != found[2]["item_ids"] and found[1]["item_ids"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--seed"),
        (("--seed", "1", "--temperature", "0"), "temperature must lie in 0.001..1000"),
        (("--seed", str(2**70)), "integers of 64 bits"),
    ],
)
def test_samples_that_cannot_be_drawn_end_with_code_two(call, options, message):
    code, out, err = call("sample", "--history", "i1", *options)
    assert code == 2 and out == "" and message in err


def test_an_item_is_explained_as_json_and_as_a_table(call, run):
    code, out, _ = call("explain", "--history", "i1,i2", "--item", "i7", "-k", "12", "--json")
    explained = json.loads(out)
    assert code == 0 and explained["item_id"] == "i7" and 1 <= explained["place"] <= 10
    total = sum(choice["log_prob"] for choice in explained["codes"])
    assert explained["score"] == pytest.approx(total, abs=1e-5)
    names = json.loads((run / "code_names.json").read_text())
    assert explained["codes"][0]["name"] == names[str(explained["codes"][0]["code"])]
    code, out, _ = call("explain", "--history", "i1,i2", "--item", "i7")
    assert code == 0 and out.startswith("i7  blue thing\n") and "by the item head" in out


def test_an_unknown_item_cannot_be_explained(call):
    code, out, err = call("explain", "--history", "i1", "--item", "nope")
    assert code == 2 and out == "" and "'nope'" in err


def test_a_loaded_run_knows_the_names_of_its_codes(run):
    assert Recommender.from_pretrained(run).code_names == json.loads((run / "code_names.json").read_text())

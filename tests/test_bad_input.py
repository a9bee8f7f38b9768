"""Bad input, one test each: exit code 2, one clear message with place and remedy, nothing half written."""

import gzip
import json
import shutil

import duckdb
import numpy as np
import pytest

from genrec import cli, run_pipeline

SMALL = (
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "training.epochs=1",
    "tokenizer.kind=residual_kmeans",
    "tokenizer.codebook_size=4",
    "tokenizer.num_levels=2",
    "embeddings.encoder=tfidf",
)
ITEMS = [f"i{number}" for number in range(12)]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A small shop on disk: sequences, items, and a config that reads them."""
    monkeypatch.setenv("GENREC_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with gzip.open(tmp_path / "items.jsonl.gz", "wt") as file:
        for number, item in enumerate(ITEMS):
            colour = ("red", "blue", "green")[number % 3]
            file.write(json.dumps({"item_id": item, "title": f"{colour} thing {number}"}) + "\n")
    write_sequences(tmp_path, [[ITEMS[(user + step) % 12] for step in range(5)] for user in range(30)])
    config = {"data": {"format": "sequences", "interactions": "sequences.jsonl", "items": "items.jsonl.gz"}}
    (tmp_path / "shop.yaml").write_text(json.dumps(config))
    return tmp_path


def write_sequences(folder, sequences):
    lines = [json.dumps({"user_id": f"u{user}", "item_ids": items}) for user, items in enumerate(sequences)]
    (folder / "sequences.jsonl").write_text("\n".join(lines) + "\n")


def refused(capsys, *arguments):
    """The message of a command that must end with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        call(*arguments)
    output = capsys.readouterr()
    assert ended.value.code == 2, output.err
    errors = [line for line in output.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, output.err
    assert "Traceback" not in output.err and output.out == ""
    return output.err


def call(*arguments):
    import sys
    from unittest.mock import patch

    with patch.object(sys, "argv", ["genrec", *map(str, arguments)]):
        cli.main()


def run_shop(capsys, *overrides):
    return refused(capsys, "run", "shop.yaml", *SMALL, *overrides, "--out", "run")


def nothing_is_left(folder):
    return not (folder / "run").exists()


def test_missing_column(shop, capsys):
    (shop / "clicks.csv").write_text("user_id,article,timestamp\nu1,i1,1\n")
    message = run_shop(capsys, "data.format=table", "data.interactions=clicks.csv")
    assert "clicks.csv" in message and "item_id" in message and "article" in message
    assert nothing_is_left(shop)


def test_unparsable_row(shop, capsys):
    (shop / "clicks.csv").write_text("user_id,item_id,timestamp\nu1,i1,1\nu1,i2,yesterday-ish\n")
    message = run_shop(capsys, "data.format=table", "data.interactions=clicks.csv")
    assert "clicks.csv" in message and "3" in message and "timestamp" in message and "yesterday-ish" in message
    assert nothing_is_left(shop)


def test_unknown_item_in_a_sequence(shop, capsys):
    write_sequences(shop, [ITEMS[:5], [*ITEMS[:3], "i99"]])
    message = run_shop(capsys)
    assert "i99" in message and "2" in message and "unknown_items" in message
    assert nothing_is_left(shop)


def test_empty_file(shop, capsys):
    (shop / "sequences.jsonl").write_text("")
    message = run_shop(capsys)
    assert "sequences.jsonl" in message and "empty" in message
    assert nothing_is_left(shop)


def test_missing_file_names_the_data_folder(shop, capsys):
    message = run_shop(capsys, "data.interactions=gone.jsonl")
    assert "gone.jsonl" in message and "GENREC_DATA" in message


def test_embeddings_with_another_row_count(shop, capsys):
    np.save(shop / "vectors.npy", np.ones((11, 4), dtype=np.float32))
    message = run_shop(capsys, "embeddings.file=vectors.npy")
    assert "vectors.npy" in message and "11" in message and "12" in message
    assert not (shop / "run" / "embeddings.npy").exists()


def test_nan_in_embeddings(shop, capsys):
    vectors = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    vectors[3, 1] = np.nan
    np.save(shop / "vectors.npy", vectors)
    message = run_shop(capsys, "embeddings.file=vectors.npy")
    assert "vectors.npy" in message and "row 3" in message
    assert not (shop / "run" / "embeddings.npy").exists()


def test_unknown_config_key(shop, capsys):
    message = run_shop(capsys, "tokenizer.num_level=3")
    assert "tokenizer.num_level is unknown; did you mean 'num_levels'?" in message
    assert nothing_is_left(shop)


def test_ready_made_codes_that_lack_an_item(shop, capsys):
    (shop / "codes.json").write_text(json.dumps({item: [0, row] for row, item in enumerate(ITEMS[:-1])}))
    message = run_shop(capsys, "tokenizer.codes=codes.json")
    assert "codes.json" in message and "i11" in message
    assert not (shop / "run" / "semantic_ids.npz").exists()


def test_too_few_items_for_the_codebook(shop, capsys):
    message = run_shop(capsys, "tokenizer.codebook_size=256")
    assert "256" in message and "12" in message


@pytest.fixture
def trained(shop, capsys):
    run_pipeline("shop.yaml", overrides=SMALL, out="run")
    capsys.readouterr()
    return shop


def test_a_history_of_unknown_items_only(trained, capsys):
    message = refused(capsys, "recommend", "run", "--history", "x1,x2")
    assert "x1" in message and "catalogue" in message


def test_an_empty_history(trained, capsys):
    assert "empty" in refused(capsys, "recommend", "run", "--history", ",")


def test_a_run_folder_of_other_ids(trained, capsys):
    write_sequences(trained, [ITEMS[:6]] * 5)
    run_pipeline("shop.yaml", overrides=[*SMALL, "seed=1", "tokenizer.codebook_size=3"], out="other")
    shutil.copy(trained / "other" / "semantic_ids.npz", trained / "run" / "semantic_ids.npz")
    message = refused(capsys, "recommend", "run", "--history", "i1")
    assert "semantic_ids.npz" in message


def test_a_folder_that_is_no_run(shop, capsys):
    (shop / "other").mkdir()
    assert "not a run folder" in refused(capsys, "recommend", "other", "--history", "i1")


def test_an_empty_allow_file(trained, capsys):
    (trained / "allow.txt").write_text("\n")
    assert "allow.txt" in refused(capsys, "recommend", "run", "--history", "i1", "--allow", "allow.txt")


def test_an_allow_file_of_unknown_items(trained, capsys):
    (trained / "allow.txt").write_text("x1\n")
    message = refused(capsys, "recommend", "run", "--history", "i1", "--allow", "allow.txt")
    assert "allow" in message


def test_a_trained_run_recommends_from_the_shell(trained, capsys):
    with pytest.raises(SystemExit) as ended:
        call("recommend", "run", "--history", "i1,i2,nope", "-k", "3", "--json")
    assert ended.value.code == 0
    output = capsys.readouterr()
    answer = json.loads(output.out)
    assert len(answer["recommendations"]) == 3 and answer["ignored"] == ["nope"]
    assert "nope" in output.err


def test_bulk_histories_come_back_line_by_line(trained, capsys):
    lines = [{"user_id": "a", "item_ids": ["i1"]}, {"user_id": "b", "item_ids": ["nope"]}]
    (trained / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for out in ("out.jsonl", "out.parquet", "out.jsonl.gz"):
        with pytest.raises(SystemExit) as ended:
            call("recommend", "run", "--histories", "in.jsonl", "--out", out)
        assert ended.value.code == 0
        assert json.loads(capsys.readouterr().out) == {
            "out": out,
            "histories": 2,
            "without_known_items": 1,
            "exact": 0,
        }
    answers = [json.loads(line) for line in (trained / "out.jsonl").read_text().splitlines()]
    assert [answer["user_id"] for answer in answers] == ["a", "b"]
    assert len(answers[0]["item_ids"]) == 10 and answers[1]["item_ids"] == [] and "error" in answers[1]
    assert sorted(path.name for path in trained.glob("out*")) == ["out.jsonl", "out.jsonl.gz", "out.parquet"]
    assert gzip.decompress((trained / "out.jsonl.gz").read_bytes()) == (trained / "out.jsonl").read_bytes()
    columns = duckdb.sql(f"SELECT user_id, len(item_ids), error IS NULL FROM '{trained / 'out.parquet'}'").fetchall()
    assert columns == [("a", 10, True), ("b", 0, False)]


def test_ids_that_look_like_dates_or_uuids_stay_text(trained, capsys):
    lines = [
        {"user_id": "2011-12-01", "item_ids": ["i1", "2011-12-01T10:00:00"]},
        {"user_id": "7f8d3c2e-0b1a-4c5d-9e6f-123456789abc", "item_ids": ["i2"]},
    ]
    (trained / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(SystemExit) as ended:
        call("recommend", "run", "--histories", "in.jsonl", "--out", "out.jsonl")
    assert ended.value.code == 0
    answers = [json.loads(line) for line in (trained / "out.jsonl").read_text().splitlines()]
    assert [answer["user_id"] for answer in answers] == [line["user_id"] for line in lines]
    assert answers[0]["ignored"] == ["2011-12-01T10:00:00"]


def test_histories_that_are_not_json(trained, capsys):
    (trained / "in.jsonl").write_text('{"item_ids": ["i1"]}\n{"item_ids": 3}\n')
    message = refused(capsys, "recommend", "run", "--histories", "in.jsonl", "--out", "out.jsonl")
    assert "in.jsonl, line 2" in message
    assert not (trained / "out.jsonl").exists()


def test_bad_input_leaves_an_earlier_run_as_it_was(trained, capsys):
    before = {
        path: path.read_bytes() for path in (trained / "run").rglob("*") if path.is_file() and path.name != ".lock"
    }
    refused(capsys, "evaluate", "run", "data.interactions=gone.jsonl")
    write_sequences(trained, [[*ITEMS[:3], "i99"]])
    refused(capsys, "evaluate", "run")
    after = {
        path: path.read_bytes() for path in (trained / "run").rglob("*") if path.is_file() and path.name != ".lock"
    }
    assert after == before


def test_data_without_anything_to_validate_by_stops_before_the_training(shop, capsys):
    write_sequences(shop, [[ITEMS[user % 12], ITEMS[(user + 1) % 12]] for user in range(30)])
    message = run_shop(capsys)
    assert "three interactions" in message
    assert not (shop / "run" / "embeddings.npy").exists()


def test_cuts_in_the_wrong_order(shop, capsys):
    cuts = ("data.split=global_time", "data.validation_from_unix_s=20", "data.test_from_unix_s=10")
    assert "data.test_from_unix_s" in run_shop(capsys, *cuts)


def test_a_folder_of_the_name_of_a_config_does_not_hide_the_config(shop, capsys):
    (shop / "demo").mkdir()
    message = refused(capsys, "prepare", "demo", "data.world.num_user=3")
    assert "num_users" in message

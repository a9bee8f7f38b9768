"""What cannot be added is refused with a remedy, and the run stays as it was."""

import numpy as np
import pytest
import yaml

from genrec import add_items
from genrec.artifacts import RunFolder
from genrec.errors import ArtifactError, DataError


def test_known_items_are_refused(shop, run, some_late_items, contents):
    with pytest.raises(DataError, match=r"135 of 135 items are in the catalogue .* already"):
        add_items(run, shop / "items.jsonl")
    assert not (run / "additions").exists()
    add_items(run, some_late_items(0, 2))
    before = contents(run, without=(".lock",))
    with pytest.raises(DataError, match=r"2 of 15 items are in the catalogue .* already"):
        add_items(run, shop / "late.jsonl")
    assert contents(run, without=(".lock",)) == before


def test_codes_from_a_file_are_refused_where_a_tokenizer_is(shop, run, tmp_path):
    with pytest.raises(DataError, match="drop --codes"):
        add_items(run, shop / "late.jsonl", codes=tmp_path / "late.json")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"item_id": "new", "colour_of_the_sky": "blue"}', "none of the columns"),
        ('{"article": "new", "title": "thing"}', "column 'item_id' is missing"),
    ],
)
def test_items_of_another_form_are_refused(run, tmp_path, line, message):
    (tmp_path / "odd.jsonl").write_text(line + "\n")
    with pytest.raises(DataError, match=message):
        add_items(run, tmp_path / "odd.jsonl")


def test_another_encoder_is_refused(shop, run):
    vectors = np.load(run / "embeddings.npy")
    np.save(run / "embeddings.npy", vectors[:, ::-1])
    with pytest.raises(DataError, match="gives other vectors"):
        add_items(run, shop / "late.jsonl")


def test_another_choice_of_embeddings_since_then_is_refused(shop, run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["embeddings"]["max_chars"] = 7
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(DataError, match="max_chars was 500 and is 7"):
        add_items(run, shop / "late.jsonl")


def test_a_folder_that_is_no_run_and_a_run_in_use_are_refused(shop, run, tmp_path):
    with pytest.raises(ArtifactError, match="not a run folder"):
        add_items(tmp_path / "nothing", shop / "late.jsonl")
    with RunFolder(run).lock(), pytest.raises(ArtifactError, match="in use"):
        add_items(run, shop / "late.jsonl")

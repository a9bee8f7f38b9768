"""New items get codes from what is fitted, and nothing of the run changes."""

import json
import shutil

import numpy as np
import pytest

from genrec import add_items
from genrec.additions.stored import read_changes, write_changes
from genrec.artifacts import RunFolder
from genrec.data.prepared import read_catalogue
from genrec.errors import DataError
from genrec.tokenization.fitted import FittedTokenizer
from tokenizer import SemanticIDs

KINDS = ("rqvae", "residual_kmeans", "fsq", "opq", "random", "sequential", "collaborative", "hybrid")


def test_old_codes_and_every_file_of_the_run_stay_bit_by_bit(shop, run, late, table_of, contents):
    before = contents(run)
    added = add_items(run, shop / "late.jsonl")
    assert contents(run) == before
    base, table = SemanticIDs.load(run / "semantic_ids.npz"), table_of(run)
    assert len(base) == 135 and len(table) == 150
    assert table.codes[:135].tobytes() == base.codes.tobytes()
    assert table.item_ids[:135].tolist() == base.item_ids.tolist()
    assert table.level_sizes == base.level_sizes
    assert set(added.item_ids) == set(late) == set(table.item_ids[135:].tolist())
    assert (added.num_items, added.num_sharing) == (150, 0)


def test_new_items_get_the_codes_that_the_fitted_tokenizer_gives_them(shop, run, late, table_of):
    add_items(run, shop / "late.jsonl")
    vectors = np.load(run / "additions" / "000001" / "embeddings.npy")
    assert vectors.shape == (15, 16)
    fitted = FittedTokenizer.load(run / "tokenizer", kind="residual_kmeans", collaborative_weight=0.5)
    codes = fitted.tokenizer.encode(fitted.inputs_of_later(vectors, first_row=135, num_items=15))
    ids = [tuple(row) for row in table_of(run).codes.tolist()]
    assert [one[:2] for one in ids[135:]] == [tuple(row[:2]) for row in codes.tolist()]
    for row, own in enumerate(map(tuple, codes.tolist()), start=135):  # only a taken last code is another one
        assert ids[row] == own or own in ids[:135] + ids[135:row] + ids[row + 1 :]


def test_items_of_the_same_texts_as_old_ones_get_their_codes_where_only_content_is_read(
    shop, tmp_path, table_of, make_run
):
    run = make_run(tmp_path / "run", "tokenizer.collaborative_weight=0", "tokenizer.collisions=keep", until="index")
    items = [json.loads(line) for line in (shop / "items.jsonl").read_text().splitlines()]
    twins = [json.dumps({**item, "item_id": f"twin of {item['item_id']}"}) for item in items]
    (tmp_path / "twins.jsonl").write_text("\n".join(twins) + "\n")
    add_items(run, tmp_path / "twins.jsonl")
    table = table_of(run)
    codes = dict(zip(table.item_ids.tolist(), table.codes.tolist(), strict=True))
    assert all(codes[item["item_id"]] == codes[f"twin of {item['item_id']}"] for item in items)


def test_the_items_of_the_fit_do_not_drift_from_themselves(shop, run, tmp_path):
    items = [json.loads(line) for line in (shop / "items.jsonl").read_text().splitlines()]
    (tmp_path / "twins.jsonl").write_text(
        "\n".join(json.dumps({**item, "item_id": f"twin {n}"}) for n, item in enumerate(items))
    )
    found = add_items(run, tmp_path / "twins.jsonl").drift
    assert found is not None and found.error_ratio == pytest.approx(1) and found.usage_divergence_bits == 0


def test_adding_twice_is_adding_all(run, late, table_of, some_late_items):
    assert add_items(run, some_late_items(0, 9)).num_items == 144
    first = table_of(run)
    assert add_items(run, some_late_items(9, 15)).num_items == 150
    table = table_of(run)
    assert table.codes[:144].tobytes() == first.codes.tobytes()
    assert set(table.item_ids[135:].tolist()) == set(late)
    for name, items in (("000001", 9), ("000002", 6)):
        part = run / "additions" / name
        assert len(read_catalogue(part)) == len(np.load(part / "embeddings.npy")) == items


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tokenizer_codes_new_items(shop, tmp_path, kind, table_of, make_run):
    few_epochs = "tokenizer.rqvae={epochs: 2}", "tokenizer.fsq={epochs: 2}"
    run = make_run(tmp_path / kind, f"tokenizer.kind={kind}", *few_epochs, until="index")
    base = SemanticIDs.load(run / "semantic_ids.npz")
    added = add_items(run, shop / "late.jsonl")
    assert len(table_of(run)) == 150 and table_of(run).codes[:135].tobytes() == base.codes.tobytes()
    assert (added.drift is None) == (kind == "sequential")
    if added.drift is not None:
        assert (added.drift.num_old_items, added.drift.num_new_items) == (135, 15)


@pytest.mark.parametrize("collisions", ["extra_code", "balanced", "nearest_free", "keep"])
def test_every_way_with_collisions_takes_new_items(shop, tmp_path, collisions, table_of, make_run):
    blended = "tokenizer.collaborative_weight=0.5"
    run = make_run(tmp_path / "run", f"tokenizer.collisions={collisions}", blended, until="index")
    base = SemanticIDs.load(run / "semantic_ids.npz")
    added = add_items(run, shop / "late.jsonl")
    assert table_of(run).codes[:135].tobytes() == base.codes.tobytes()
    assert added.num_sharing == 0 or collisions == "keep"


def test_runs_embedded_elsewhere_take_vectors_from_a_file(shop, tmp_path, late, make_run):
    known = [json.loads(line)["item_id"] for line in (shop / "items.jsonl").read_text().splitlines()]
    random = np.random.default_rng(0)
    np.savez(tmp_path / "known.npz", item_ids=np.array(known), vectors=random.normal(size=(135, 8)).astype(np.float32))
    run = make_run(tmp_path / "run", f"embeddings.file={tmp_path / 'known.npz'}", until="index")
    with pytest.raises(DataError, match="--vectors FILE"):
        add_items(run, shop / "late.jsonl")
    vectors = random.normal(size=(15, 8)).astype(np.float32)
    np.save(tmp_path / "wide.npy", np.ones((15, 9), dtype=np.float32))
    with pytest.raises(DataError, match=r"width 9, but .* width 8"):
        add_items(run, shop / "late.jsonl", vectors=tmp_path / "wide.npy")
    np.save(tmp_path / "late.npy", vectors)
    added = add_items(run, shop / "late.jsonl", vectors=tmp_path / "late.npy")
    kept = np.load(run / "additions" / "000001" / "embeddings.npy")
    assert np.array_equal(kept, vectors[[late.index(item) for item in added.item_ids]])


def test_runs_with_ready_made_codes_take_codes_from_a_file(shop, finished, tmp_path, late, table_of, make_run):
    base = SemanticIDs.load(finished / "semantic_ids.npz")
    codes = dict(zip(base.item_ids.tolist(), base.codes[:, :3].tolist(), strict=True))
    (tmp_path / "codes.json").write_text(json.dumps(codes))
    run = make_run(tmp_path / "run", f"tokenizer.codes={tmp_path / 'codes.json'}", until="index")
    with pytest.raises(DataError, match="no tokenizer: give those of the new items with --codes FILE"):
        add_items(run, shop / "late.jsonl")
    (tmp_path / "late.json").write_text(json.dumps({item: [place % 8, 1, 1] for place, item in enumerate(late)}))
    added = add_items(run, shop / "late.jsonl", codes=tmp_path / "late.json")
    assert added.drift is None
    assert table_of(run).codes[135:, 0].tolist() == [late.index(item) % 8 for item in added.item_ids]
    (tmp_path / "short.json").write_text(json.dumps({item: [1, 1] for item in late}))
    shutil.rmtree(run / "additions")
    with pytest.raises(DataError, match=r"2 codes an item, but .* made of 3"):
        add_items(run, shop / "late.jsonl", codes=tmp_path / "short.json")


def take_out(run, *item_ids):
    """As a server does."""
    folder = RunFolder(run)
    write_changes(folder, read_changes(folder, SemanticIDs.load(run / "semantic_ids.npz")).without(item_ids))


def removed(run):
    return read_changes(RunFolder(run), SemanticIDs.load(run / "semantic_ids.npz")).removed


def test_items_that_were_removed_come_back_as_they_were(shop, run, late, table_of, some_late_items, tmp_path):
    add_items(run, some_late_items(0, 2))
    known = json.loads((shop / "items.jsonl").read_text().splitlines()[7])
    take_out(run, known["item_id"], late[0], late[1])
    before = table_of(run)
    lines = (shop / "late.jsonl").read_text().splitlines(keepends=True)
    titles = [{name: item[name] for name in ("item_id", "title")} for item in (known, *map(json.loads, lines))]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(titles[at]) + "\n" for at in (0, 5, 1)))
    found = add_items(run, tmp_path / "more.jsonl")
    assert (found.item_ids, set(found.put_back)) == ((late[4],), {known["item_id"], late[0]})
    assert (found.num_items, found.as_dict()["put_back"]) == (137, 2)
    after = table_of(run)
    assert after.codes[:137].tobytes() == before.codes.tobytes() and len(after) == 138
    assert removed(run) == {late[1]}
    (tmp_path / "last.jsonl").write_text(json.dumps({"item_id": late[1]}) + "\n")
    found = add_items(run, tmp_path / "last.jsonl")
    assert (found.item_ids, found.put_back, found.num_sharing, found.drift) == ((), (late[1],), 0, None)
    assert not removed(run) and table_of(run).codes.tobytes() == after.codes.tobytes()


def test_a_removed_item_with_other_fields_is_refused(shop, run, tmp_path, contents):
    known = json.loads((shop / "items.jsonl").read_text().splitlines()[7])
    take_out(run, known["item_id"])
    before = contents(run, without=())
    (tmp_path / "other.jsonl").write_text(json.dumps({**known, "title": "another thing"}) + "\n")
    with pytest.raises(DataError, match=r"was removed, and comes back as it was: .* 'title' is another one now"):
        add_items(run, tmp_path / "other.jsonl")
    assert contents(run, without=()) == before and removed(run) == {known["item_id"]}

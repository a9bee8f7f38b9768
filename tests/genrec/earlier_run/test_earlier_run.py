import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from genrec import Recommender
from genrec.additions.add import add_items
from genrec.atomic_files import atomic_write
from genrec.config import load_config, to_yaml
from genrec.data.sources.config import DataConfig
from genrec.earlier_run.run import EarlierRun, check_same_choices
from genrec.earlier_run.weights import prefix_means, start_from
from genrec.errors import ArtifactError, ConfigError, DataError
from genrec.generator.config import GeneratorOptions
from genrec.recommendation.loading import load_generator
from genrec.tokenization.fitted import FittedTokenizer
from genrec.training.stage import new_generator
from tokenizer import SemanticIDs


def _by_time(begin):
    return DataConfig(split="global_time", validation_from_unix_s=begin, test_from_unix_s=200)


def ids_of(run):
    table = SemanticIDs.load(run / "semantic_ids.npz")
    return dict(zip(table.item_ids.tolist(), map(tuple, table.codes.tolist()), strict=True))


def log_of(run, event):
    lines = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [line for line in lines if line["event"] == event]


@pytest.fixture(scope="module")
def newer(finished, make_run, tmp_path_factory):
    """A run of all items that goes on from the one without the late ones."""
    return make_run(tmp_path_factory.mktemp("newer") / "run", f"earlier_run={finished}", newer=True)


def test_known_items_keep_their_ids_and_new_ones_get_free_ones(finished, newer, late):
    before, now = ids_of(finished), ids_of(newer)
    assert set(now) == set(before) | set(late) and len(set(late) & set(before)) == 0
    assert all(now[item_id] == codes for item_id, codes in before.items())
    assert len(set(now.values())) == 150
    sizes = [SemanticIDs.load(run / "semantic_ids.npz").level_sizes for run in (finished, newer)]
    assert sizes[0] == sizes[1]


def test_new_items_get_the_codes_that_adding_them_gives(finished, newer, shop, late, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    add_items(run, shop / "late.jsonl")
    added = EarlierRun.read(run)
    rows = added.rows_of(np.array(late))
    now = ids_of(newer)
    # where several new ones want one free code, who gets it depends on who comes with whom: the first codes do not
    assert [now[item_id][:2] for item_id in late] == [tuple(codes[:2]) for codes in added.semantic_ids.codes[rows]]


def test_the_tokenizer_stays_as_it_was_fitted(finished, newer):
    fitted = [
        FittedTokenizer.load(run / "tokenizer", kind="residual_kmeans", collaborative_weight=0.5)
        for run in (finished, newer)
    ]
    content = np.load(newer / "embeddings.npy")
    read = [one.inputs_of_later(content, first_row=0, num_items=150) for one in fitted]
    assert np.array_equal(*read)
    assert np.array_equal(*(one.tokenizer.encode(read[0]) for one in fitted))


def test_known_items_are_not_embedded_again(finished, newer):
    before, now = EarlierRun.read(finished), EarlierRun.read(newer)
    rows = now.rows_of(before.finished.catalogue.item_ids)
    assert (rows >= 0).all()
    assert np.array_equal(np.load(newer / "embeddings.npy")[rows], np.load(finished / "embeddings.npy"))


def test_the_training_begins_where_the_earlier_one_ended(make_run, tmp_path):
    earlier = make_run(tmp_path / "earlier", "training.epochs=8", until="train")
    newer = make_run(tmp_path / "newer", f"earlier_run={earlier}", newer=True, until="train")
    fresh = make_run(tmp_path / "fresh", newer=True, until="train")
    losses = [log_of(run, "trained")[0]["loss"] for run in (newer, fresh)]
    assert losses[0] < 0.95 * losses[1]


def test_weights_are_taken_over_item_by_item(finished, newer):
    earlier, item_ids = EarlierRun.read(finished), EarlierRun.read(newer).finished.catalogue.item_ids
    options = EarlierRun.read(newer).finished.section("generator", GeneratorOptions)
    generator = new_generator(SemanticIDs.load(newer / "semantic_ids.npz"), options)
    start_from(generator, earlier, item_ids)
    trained, started = load_generator(finished / "generator").state_dict(), generator.state_dict()
    rows = earlier.rows_of(item_ids)
    vectors, before = (state["embedding.item_vectors.weight"] for state in (started, trained))
    assert torch.equal(vectors[rows >= 0], before[rows[rows >= 0]])
    assert np.array_equal(started["embedding.vocabulary.item_codes"], np.array([*ids_of(newer).values()]))
    same = set(trained) - {"embedding.item_vectors.weight", "embedding.vocabulary.item_codes"}
    assert len(same) > 20 and all(torch.equal(trained[name], started[name]) for name in same)


def test_a_new_item_starts_at_the_mean_of_its_longest_shared_prefix():
    random = np.random.default_rng(0)
    known, new = random.integers(0, 4, (50, 3)), random.integers(0, 5, (40, 3))
    vectors = torch.randn(50, 6)
    found = prefix_means(vectors, known, new)
    for codes, vector in zip(new, found, strict=True):
        lengths = (known == codes).cumprod(axis=1).sum(axis=1)
        expected = vectors[torch.from_numpy(lengths == lengths.max())].mean(0)
        torch.testing.assert_close(vector, expected)


@pytest.mark.parametrize(
    ("earlier_split", "split", "message"),
    [
        (DataConfig(), _by_time(100), "was split by leave_one_out, this run by global_time"),
        (_by_time(100), DataConfig(), "was split by global_time, this run by leave_one_out"),
        (_by_time(100), _by_time(99), "trained on everything before 100, and the validation begins at 99"),
    ],
)
def test_what_is_validation_or_test_now_must_not_be_what_the_earlier_run_learned_from(
    finished, tmp_path, earlier_split, split, message
):
    earlier = with_data(finished, tmp_path / "earlier", earlier_split)
    with pytest.raises(ConfigError, match=message):
        check_same_choices(str(earlier), data=split, **choices_of(earlier))


@pytest.mark.parametrize(("earlier_split", "split"), [(DataConfig(), DataConfig()), (_by_time(100), _by_time(101))])
def test_a_later_or_the_same_split_goes_on_from_an_earlier_run(finished, tmp_path, earlier_split, split):
    earlier = with_data(finished, tmp_path / "earlier", earlier_split)
    check_same_choices(str(earlier), data=split, **choices_of(earlier))


def with_data(finished, folder, data):
    """A copy of a run that says it was made of this data."""
    config = load_config(finished / "config.yaml")
    atomic_write(shutil.copytree(finished, folder) / "config.yaml", to_yaml(replace(config, data=data)).encode())
    return folder


def choices_of(run):
    config = load_config(run / "config.yaml")
    return {name: getattr(config, name) for name in ("embeddings", "tokenizer", "generator")}


def test_the_newer_run_lives_without_the_earlier_one(finished, shop, make_run, tmp_path):
    earlier = shutil.copytree(finished, tmp_path / "earlier")
    run = make_run(tmp_path / "run", f"earlier_run={earlier}", newer=True)
    shutil.rmtree(earlier)
    make_run(tmp_path / "run", f"earlier_run={earlier}", "evaluation.baselines=[popularity]", newer=True)
    assert [event["stage"] for event in log_of(run, "stage")][-2:] == ["evaluate", "evaluate"]
    with pytest.raises(ArtifactError, match=r"earlier.*does not exist"):
        make_run(tmp_path / "run", f"earlier_run={earlier}", "training.epochs=2", newer=True, until="train")
    assert len(Recommender.from_pretrained(run).recommend([["I00001"]], k=5)[0]) == 5
    item = json.loads((shop / "late.jsonl").read_text().splitlines()[0])
    (tmp_path / "more.jsonl").write_text(json.dumps({**item, "item_id": "twin"}) + "\n")
    add_items(run, tmp_path / "more.jsonl")  # TF-IDF still knows what it learned from
    added = np.load(run / "additions" / "000001" / "embeddings.npy")[0]
    rows = EarlierRun.read(run).rows_of(np.array([item["item_id"]]))
    assert np.allclose(added, np.load(run / "embeddings.npy")[rows[0]], atol=1e-6)


def test_items_that_were_added_before_keep_their_ids_too(finished, shop, make_run, late, tmp_path):
    earlier = shutil.copytree(finished, tmp_path / "earlier")
    add_items(earlier, shop / "late.jsonl")
    run = make_run(tmp_path / "run", f"earlier_run={earlier}", newer=True, until="train")
    table = EarlierRun.read(earlier).semantic_ids
    assert ids_of(run) == dict(zip(table.item_ids.tolist(), map(tuple, table.codes.tolist()), strict=True))


def test_an_id_of_an_item_that_is_gone_is_not_given_again(finished, shop, make_run, late, tmp_path):
    earlier = ids_of(finished)
    gone = {json.loads(line)["item_id"] for line in (shop / "items.jsonl").read_text().splitlines()[:60]}
    clicks = (shop / "all_clicks.csv").read_text().splitlines(keepends=True)
    (tmp_path / "clicks.csv").write_text("".join(line for line in clicks if line.split(",")[1] not in gone))
    items = (shop / "all_items.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "items.jsonl").write_text("".join(line for line in items if json.loads(line)["item_id"] not in gone))
    files = (f"data.interactions={tmp_path / 'clicks.csv'}", f"data.items={tmp_path / 'items.jsonl'}")
    run = make_run(tmp_path / "run", f"earlier_run={finished}", *files, newer=True, until="index")
    now = ids_of(run)
    assert not gone & set(now) and set(late) <= set(now)
    assert not {now[item_id] for item_id in late} & set(earlier.values())


def test_items_with_other_texts_are_embedded_again_and_keep_their_ids(finished, shop, make_run, tmp_path):
    lines = [json.loads(line) for line in (shop / "all_items.jsonl").read_text().splitlines()]
    other, source = lines[0]["item_id"], lines[1]
    lines[0] = {**source, "item_id": other}
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    items = f"data.items={tmp_path / 'items.jsonl'}"
    run = make_run(tmp_path / "run", f"earlier_run={finished}", items, newer=True, until="index")
    vectors, item_ids = np.load(run / "embeddings.npy"), [*ids_of(run)]
    assert np.allclose(vectors[item_ids.index(other)], vectors[item_ids.index(source["item_id"])], atol=1e-6)
    assert ids_of(run)[other] == ids_of(finished)[other]


def test_codes_from_a_file_go_on_with_those_of_new_items(shop, make_run, late, tmp_path):
    def write(name, items):
        random = np.random.default_rng(len(items))
        codes = {item: random.integers(0, 40, 2).tolist() for item in items}
        (tmp_path / name).write_text(json.dumps(codes))
        return f"tokenizer.codes={tmp_path / name}"

    known = [json.loads(line)["item_id"] for line in (shop / "items.jsonl").read_text().splitlines()]
    # the largest codes are there from the start: level sizes never grow
    first = write("first.json", known)
    codes = json.loads((tmp_path / "first.json").read_text())
    codes[known[0]] = [40, 40]
    (tmp_path / "first.json").write_text(json.dumps(codes))
    earlier = make_run(tmp_path / "earlier", first, until="train")
    run = make_run(tmp_path / "run", write("second.json", late), f"earlier_run={earlier}", newer=True, until="train")
    before, now = ids_of(earlier), ids_of(run)
    assert all(now[item_id] == before[item_id] for item_id in known)
    assert len(now) == 150


@pytest.fixture
def with_vectors(shop, make_run, tmp_path):
    """Makes a run from a file of vectors: those of the items that are given, times a factor."""

    def make(name, items, *overrides, factor=1.0, width=8, newer=False):
        known = [json.loads(line)["item_id"] for line in (shop / "all_items.jsonl").read_text().splitlines()]
        vectors = np.random.default_rng(0).normal(size=(len(known), width)).astype(np.float32)
        rows = [known.index(item_id) for item_id in items]
        np.savez(tmp_path / f"{name}.npz", item_ids=np.array(items), vectors=factor * vectors[rows])
        file = f"embeddings.file={tmp_path / name}.npz"
        return make_run(tmp_path / name, file, *overrides, until="train", newer=newer)

    return make


def test_vectors_from_a_file_go_on_if_they_are_those_of_the_same_encoder(shop, with_vectors):
    names = ("items", "all_items")
    known, every = ([json.loads(line)["item_id"] for line in (shop / f"{n}.jsonl").open()] for n in names)
    earlier = with_vectors("earlier", known)
    run = with_vectors("run", every, f"earlier_run={earlier}", newer=True)
    assert all(ids_of(run)[item_id] == codes for item_id, codes in ids_of(earlier).items())
    with pytest.raises(DataError, match=r"other vectors for the items .* \(\d+ of \d+ probes differ\)"):
        with_vectors("other", every, f"earlier_run={earlier}", factor=1.5, newer=True)
    with pytest.raises(DataError, match=r"vectors of width 9, those of .* have width 8"):
        with_vectors("wide", every, f"earlier_run={earlier}", width=9, newer=True)
    with pytest.raises(ConfigError, match="out of a file in one of them, an encoder in the other"):
        with_vectors("mixed", every, f"earlier_run={earlier}", "embeddings.file=null", newer=True)


def test_other_choices_are_refused_all_at_once(finished, make_run, tmp_path):
    with pytest.raises(ConfigError) as raised:
        make_run(
            tmp_path / "run",
            f"earlier_run={finished}",
            "generator.width=32",
            "tokenizer.codebook_size=16",
            "embeddings.tfidf_dim=8",
            "generator.dropout=0.1",
            newer=True,
        )
    message = str(raised.value)
    for line in (
        "generator.width was 16 and is 32",
        "tokenizer.codebook_size was 8 and is 16",
        "embeddings.tfidf_dim was 16 and is 8",
    ):
        assert line in message
    assert "dropout" not in message
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_not_there_or_the_run_itself_is_refused(finished, make_run, tmp_path):
    with pytest.raises(ArtifactError, match="is not a run folder"):
        make_run(tmp_path / "run", f"earlier_run={tmp_path / 'nothing'}", newer=True)
    with pytest.raises(ConfigError, match="the run itself"):
        make_run(finished, f"earlier_run={finished}", newer=True)
    untrained = make_run(tmp_path / "untrained", until="index")
    with pytest.raises(ArtifactError, match="going on from it"):
        make_run(tmp_path / "run", f"earlier_run={untrained}", newer=True, until="train")


def test_stages_run_again_only_when_the_earlier_run_has_changed(finished, make_run, shop, tmp_path):
    earlier = shutil.copytree(finished, tmp_path / "earlier")
    options = (f"earlier_run={earlier}",)
    run = make_run(tmp_path / "run", *options, newer=True, until="train")
    make_run(tmp_path / "run", *options, newer=True, until="train")
    stages = [event["stage"] for event in log_of(run, "stage")]
    assert stages == ["prepare", "embed", "tokenize", "index", "train"]
    add_items(earlier, shop / "late.jsonl")
    make_run(tmp_path / "run", *options, newer=True, until="train")
    assert [event["stage"] for event in log_of(run, "stage")][5:] == ["embed", "tokenize", "index", "train"]

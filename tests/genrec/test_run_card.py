"""Cards of runs and generators: what the hub reads of them, that their code runs, and that they may be edited."""

import json
import re
from pathlib import Path

import pytest
from forked import as_program, forked
from huggingface_hub import ModelCard

from genrec import Recommender, run_pipeline
from genrec.artifacts import RunFolder
from genrec.atomic_files import read_json
from genrec.errors import ArtifactError
from genrec.generator.model import Generator
from genrec.model_card import card, fenced, plain_line
from genrec.recommendation.loading import load_generator
from genrec.run_card import run_card


def code_of(text):
    return re.search(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[1]


def run_in(folder, code):
    done = forked(as_program, code, folder=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_hub_reads_the_figures_of_a_run(run):
    metrics = read_json(run / "metrics.json")
    data = ModelCard((run / "README.md").read_text()).data
    assert (data.library_name, data.license) == ("genrec", "unknown")
    assert "semantic-ids" in data.tags
    found = {(result.metric_name, result.metric_value) for result in data.eval_results}
    assert (
        "NDCG@10 (items of the history filtered out)",
        round(metrics["test_history_filtered"]["ndcg@10"], 6),
    ) in found
    assert len(found) == 4


def test_a_card_counts_users_and_items_and_shows_no_row_of_the_data(run):
    text = (run / "README.md").read_text()
    kept = read_json(run / "prepare.json")["kept"]
    assert f"{kept['users']:,} users, {kept['items']:,} items" in text
    catalogue = Recommender.from_pretrained(run).catalogue
    assert not [item_id for item_id in catalogue.item_ids if str(item_id) in text]
    assert not [title for title in catalogue.fields["title"] if title in text]


@pytest.mark.parametrize(("folder", "printed"), [("", 5), ("generator", 1)])
def test_the_code_of_a_card_runs_in_its_folder(run, folder, printed):
    code = code_of((run / folder / "README.md").read_text())
    assert len(code.strip().splitlines()) <= 8
    assert len(run_in(run / folder, code).strip().splitlines()) == printed


def test_a_run_that_is_not_evaluated_says_so(run):
    text = run_card(RunFolder.open(run), None)
    assert "Not evaluated yet" in text
    assert ModelCard(text).data.eval_results is None


def test_training_writes_a_card_and_evaluation_adds_the_figures(run, make_run):
    assert "## Figures\n\nNot evaluated" not in (run / "README.md").read_text()
    make_run(run, "training.epochs=2", until="train")
    assert "Not evaluated yet" in (run / "README.md").read_text()


def test_weights_that_are_made_again_keep_the_figures_that_are_still_theirs(run, make_run):
    measured = (run / "stages" / "evaluate.json").read_bytes()
    (run / "generator" / "model.safetensors").unlink()
    make_run(run)
    assert (run / "stages" / "evaluate.json").read_bytes() == measured
    assert "Not evaluated" not in (run / "README.md").read_text()


def test_a_card_may_be_edited(run, make_run):
    before = (run / "stages" / "train.json").read_bytes()
    for path in (run / "README.md", run / "generator" / "README.md"):
        path.write_text("# Ours\n")
    Recommender.from_pretrained(run)
    make_run(run)
    assert (run / "stages" / "train.json").read_bytes() == before
    assert (run / "generator" / "README.md").read_text() == "# Ours\n"
    assert (run / "README.md").read_text() == "# Ours\n"  # nothing was trained or measured again


def test_the_weights_beside_a_card_are_still_sealed(run):
    config = run / "generator" / "config.json"
    config.write_text(config.read_text().replace('"width": 16', '"width": 17'))
    with pytest.raises(ArtifactError, match=r"config\.json is damaged"):
        load_generator(run / "generator")


def test_saving_a_generator_again_leaves_its_card(run, tmp_path):
    generator = Generator.from_pretrained(run / "generator")
    (tmp_path / "README.md").write_text("# Ours\n")
    generator.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "# Ours\n"
    generator.save_pretrained(tmp_path / "other")
    assert (
        f"{sum(p.numel() for p in generator.parameters()):,} parameters" in (tmp_path / "other/README.md").read_text()
    )


def test_names_cannot_break_out_of_a_card(tmp_path):
    name = "a | b\n---\n# <script>alert(1)</script> [x](y) `z`"
    text = card(name, [])
    data, _, body = text.removeprefix("---\n").partition("---\n")
    assert "script" not in data and "\n---" not in body
    assert plain_line(name) == r"a \| b --- \# &lt;script&gt;alert(1)&lt;/script&gt; \[x\](y) \`z\`"


def test_a_fence_is_longer_than_any_in_the_text():
    assert fenced("x\n````\ny", "yaml") == "`````yaml\nx\n````\ny\n`````\n"


def test_a_name_in_the_figures_of_the_hub_stays_text(run, tmp_path):
    strange = Path(run).rename(tmp_path / "a: [b] 'c' {d}")
    data = ModelCard(run_card(RunFolder.open(strange), json.loads((strange / "metrics.json").read_text()))).data
    assert data.model_name == strange.name


def test_ready_made_codes_are_not_named_by_their_path(shop, tmp_path, make_run, finished):
    item_ids = Recommender.from_pretrained(finished).catalogue.item_ids.tolist()
    secret = tmp_path / "secret-folder" / "codes.json"
    secret.parent.mkdir()
    secret.write_text(json.dumps({item_id: [row // 12, row % 12] for row, item_id in enumerate(item_ids)}))
    out = run_pipeline(
        finished / "config.yaml",
        overrides=[f"tokenizer.codes={secret}", "tokenizer.kind=opq"],
        out=tmp_path / "coded",
        until="train",
    ).path
    text = (out / "README.md").read_text()
    assert "secret-folder" not in text and "codes: ready-made" in text

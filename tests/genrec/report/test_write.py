"""Whole reports of small runs: what the page says is what the run measured, and nothing in it leads outside."""

import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from matplotlib.image import imread

from genrec.artifacts import RunFolder
from genrec.errors import ArtifactError, ConfigError
from genrec.report import write
from genrec.report.audience import audience_section
from genrec.report.origin import origin_section
from genrec.report.quality import quality_section
from genrec.report.record import RunRecord
from genrec.report.write import write_report

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def reported(world_run, tmp_path_factory):
    return write_report(world_run, out=tmp_path_factory.mktemp("report"), with_latency=False, now=NOW)


@pytest.fixture
def page(reported, read_page):
    return read_page(reported.page)


@pytest.fixture
def metrics(world_run):
    return json.loads((world_run / "metrics.json").read_text())


def test_the_page_refers_to_nothing_outside(page):
    assert not {tag for tag, _ in page.elements} & {"script", "link", "iframe", "object"}
    sources = [attributes["src"] for _, attributes in page.elements if "src" in attributes]
    assert sources and all(source.startswith("data:image/png;base64,") for source in sources)
    targets = [attributes["href"] for _, attributes in page.elements if "href" in attributes]
    anchors = {f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes}
    assert targets and set(targets) <= anchors
    assert not re.search(r"https?:|@import|url\(", page.html)


def test_every_picture_stands_in_the_page_with_words_for_those_who_do_not_see_it(page, reported):
    images = [attributes for tag, attributes in page.elements if tag == "img"]
    assert len(images) == len(reported.pictures) >= 14
    assert all(image["alt"] for image in images)


def test_no_picture_is_blank(reported):
    for path in reported.pictures:
        pixels = imread(path)
        assert min(pixels.shape[:2]) > 300 and np.std(pixels[..., :3]) > 0.02, path


@pytest.mark.parametrize(
    ("caption", "protocol"), [("history filtered out", "test_history_filtered"), ("without history filter", "test")]
)
def test_the_main_tables_hold_the_figures_of_metrics_json(page, metrics, caption, protocol):
    rows = page.table(f"Test, {caption}")
    expected = {
        "generator, blend": metrics[protocol],
        "generator, codes alone": metrics[protocol.replace("test", "test_codes", 1)],
        "its item head, all items": metrics["item_head"][protocol],
        "oracle": metrics["oracle"][protocol],
    } | {name: figures[protocol] for name, figures in metrics["baselines"].items()}
    assert set(rows) == set(expected) >= {"popularity", "transitions", "item_knn", "sasrec"}
    for method, figures in expected.items():
        for name in ("recall@5", "recall@10", "recall@20", "ndcg@10", "candidates@50"):
            assert rows[method][name] == f"{figures[name]:.4f}", (method, name)
        share = figures["recall@10"] / metrics["oracle"][protocol]["recall@10"]
        assert rows[method]["of oracle"] == f"{100 * share:.1f} %"


def test_intervals_hold_their_figure(page):
    for row in page.table("Test, history filtered out").values():
        for name in ("recall@10", "ndcg@10"):
            low, high = map(float, row[f"{name}, 95 %"].split(" to "))
            assert low <= float(row[name]) <= high and high < 1


def test_slices_are_those_of_metrics_json_and_of_a_trained_baselines_ranks(page, metrics):
    rows = page.table("recall@10 by training interactions")
    slices = metrics["diagnostics"]["slices"]["popularity"]
    for name, part in slices.items():
        column = f"{name} ({part['cases']:,})"
        stored = part["test_history_filtered"]["generator"]["recall@10"]
        assert rows["generator, blend"][column] == ("–" if stored is None else f"{stored:.4f}")
    found = [
        float(rows["sasrec"][f"{name} ({part['cases']:,})"]) * part["cases"]
        for name, part in slices.items()
        if part["cases"]
    ]
    recall = metrics["baselines"]["sasrec"]["test_history_filtered"]["recall@10"]
    assert sum(found) / metrics["users"] == pytest.approx(recall, abs=1e-4)


def test_code_by_code_figures_are_those_of_metrics_json(page, metrics):
    survival, nll = metrics["diagnostics"]["survival"], metrics["diagnostics"]["nll"]
    rows = page.table("Share of the targets whose prefix")
    assert {size: list(row.values()) for size, row in rows.items()} == {
        size: [f"{share:.4f}" for share in shares] for size, shares in survival.items()
    }
    rows = page.table("Mean NLL")
    assert [*rows["generator"].values()][:-1] == [f"{value:.4f}" for value in nll["generator"]]
    assert rows["generator"]["all"] == f"{sum(nll['generator']):.4f}"


def test_coverage_is_that_of_metrics_json_and_what_was_not_measured_is_not_nought(page, metrics):
    rows = page.table("All lists of ten together")
    shown = metrics["diagnostics"]["coverage"]["test_history_filtered"]["generator"]
    assert rows["generator, blend"]["Gini"] == f"{shown['gini']:.4f}"
    assert rows["generator, blend"]["share of popular items"] == f"{shown['popular_share']:.4f}"
    assert set(rows["sasrec"].values()) == {"–"}


def test_the_page_says_how_the_run_was_made(page, world_run):
    assert (world_run / "config.yaml").read_text() in page.text
    assert "genrec baseline sasrec RUN" in page.text
    stages = page.table("Fingerprint")
    for name in ("prepare", "evaluate", "sasrec"):
        manifest = json.loads((world_run / "stages" / f"{name}.json").read_text())
        assert stages[name]["fingerprint"] == manifest["fingerprint"][:16]


def test_examples_are_lists_with_titles(page):
    assert page.text.count("Had") == page.text.count("Got (the first") <= 6
    assert " line, " in page.text  # as all titles of the embedded world
    assert page.text.count("taken next") + page.text.count("Taken next") == page.text.count("Got (the first")


def test_the_same_run_gives_the_same_bytes(reported, world_run, tmp_path):
    again = write_report(world_run, out=tmp_path, with_latency=False, now=NOW)
    assert [path.name for path in again.pictures] == [path.name for path in reported.pictures]
    for path in (reported.page, *reported.pictures):
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    assert "Left out by --no-latency" in again.page.read_text()


def test_a_report_that_is_broken_off_leaves_the_earlier_page_whole(world_copy, monkeypatch):
    page = world_copy / "report" / "report.html"
    page.write_text("an earlier report")

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "report_sections", lambda *_, **__: [])
    monkeypatch.setattr(write, "page", broken)
    with pytest.raises(KeyboardInterrupt):
        write_report(world_copy)
    assert page.read_text() == "an earlier report"
    assert not [path for path in world_copy.rglob("*") if path.name.startswith(".tmp-")]


def test_what_the_run_lost_is_said_and_its_picture_goes(world_copy, read_page):
    for name in ("training-loss", "validation"):
        (world_copy / "report" / f"{name}.png").write_bytes(b"of an earlier report")
    for name in ("report/code-map.png", "semantic_ids.json", "case_ranks.npz", "log.jsonl"):
        (world_copy / name).unlink()
    for stage in ("tokenize", "evaluate"):
        manifest = world_copy / "stages" / f"{stage}.json"
        fields = json.loads(manifest.read_text())
        fields["outputs"] = {name: size for name, size in fields["outputs"].items() if (world_copy / name).exists()}
        manifest.write_text(json.dumps(fields))
    written = write_report(world_copy, with_latency=False)
    page = read_page(written.page)
    for said in (
        "Not here: code-map.png",
        "semantic_ids.json is missing",
        "No intervals for generator, blend",
        "log.jsonl has no training step",
    ):
        assert said in page.text
    assert written.page.parent == world_copy / "report"
    there = {path.name for path in written.page.parent.glob("*.png")}
    assert there == {path.name for path in written.pictures}
    assert not there & {"code-map.png", "training-loss.png", "training-nll.png", "validation.png"}
    assert {"codebook.png", "blend.png"} <= there
    assert page.table("Test, history filtered out")["popularity"]["recall@10, 95 %"] == "–"


def test_figures_of_before_say_what_they_lack(world_copy):
    metrics = json.loads((world_copy / "metrics.json").read_text())
    del metrics["diagnostics"]["popular_share_of_targets"]
    for methods in metrics["diagnostics"]["coverage"].values():
        for shown in methods.values():
            del shown["popular_share"]
    section = audience_section(replace(RunRecord.read(RunFolder(world_copy)), metrics=metrics))
    assert "share of popular items in the lists was not measured" in section.markup
    assert [picture.name for picture in section.pictures] == ["by-popularity", "by-history", "coverage"]


def test_a_baseline_that_was_trained_again_keeps_its_figures_but_has_no_intervals(world_copy):
    theirs = world_copy / "baselines" / "sasrec" / "metrics.json"
    theirs.write_text(theirs.read_text().replace('"recall@5": 0.', '"recall@5": 0.9'))
    section = quality_section(RunRecord.read(RunFolder(world_copy)))
    assert "No intervals for sasrec:" in section.markup


def test_a_run_without_titles_baselines_or_levels_has_a_report(plain_run, tmp_path, read_page):
    page = read_page(write_report(plain_run, out=tmp_path / "report", with_latency=False).page)
    for said in (
        "No baseline was measured",
        "Agreement with categories is not known",
        "no titles to name them by",
        "Not here: code-map.png",
        "A beam of 3 holds",
        "No test user took an item that training never saw",
        "the run ranks by the codes alone",
    ):
        assert said in page.text
    assert page.table("recall@10 by training interactions")["generator, codes alone"]["0 (0)"] == "–"
    assert [*page.table("Share of the targets whose prefix")] == ["3"]


def test_a_run_that_goes_on_from_another_names_it(world_run):
    record = RunRecord.read(RunFolder(world_run))
    assert "earlier run" not in origin_section(record).markup
    continued = replace(record, config={**record.config, "earlier_run": "runs/<old>"})
    assert "earlier run, which must be there too: <code>runs/&lt;old&gt;</code>" in origin_section(continued).markup


def test_text_of_the_data_stays_text(titled_run, tmp_path, read_page):
    page = read_page(write_report(titled_run, out=tmp_path / "report", with_latency=False).page)
    assert "<script>alert(1)</script> & lamp" in page.text and "User <i>u" in page.text
    assert not {"script", "i"} & {tag for tag, _ in page.elements}


def test_a_run_that_was_not_evaluated_names_the_command(world_copy):
    (world_copy / "metrics.json").unlink()
    with pytest.raises(ArtifactError, match="genrec evaluate"):
        write_report(world_copy)


def test_figures_of_an_earlier_version_are_to_be_made_again(world_copy):
    metrics, manifest = world_copy / "metrics.json", world_copy / "stages" / "evaluate.json"
    metrics.write_text(json.dumps({"test": {}, "test_codes": {}}))
    fields = json.loads(manifest.read_text())
    fields["outputs"]["metrics.json"] = metrics.stat().st_size
    manifest.write_text(json.dumps(fields))
    with pytest.raises(ArtifactError, match=r"expected 'item_head' in it.*genrec evaluate"):
        write_report(world_copy)


def test_a_run_that_is_written_to_is_left_alone(world_copy):
    with RunFolder(world_copy).lock(), pytest.raises(ArtifactError, match="is in use"):
        write_report(world_copy)


def test_without_matplotlib_it_says_what_to_install(world_run, tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConfigError, match=r'pip install "genrec\[plots\]"'):
        write_report(world_run, out=tmp_path)


def test_another_run_or_a_file_is_no_place_for_a_report(world_run, tmp_path):
    with pytest.raises(ConfigError, match="is a run folder"):
        write_report(world_run, out=world_run)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        write_report(world_run, out=tmp_path / "file")

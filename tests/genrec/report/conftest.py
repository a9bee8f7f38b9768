"""Small runs of several kinds, evaluated, and a reader of pages."""

import csv
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from genrec import run_pipeline

pytest.importorskip("matplotlib")

SMALL = (
    "embeddings.encoder=tfidf",
    "embeddings.tfidf_dim=16",
    "tokenizer.codebook_size=8",
    "generator.width=16",
    "generator.num_heads=2",
    "generator.feed_forward_dim=32",
    "training.batch_size=32",
    "training.validate_every_epochs=1",
)
WORLD = (*SMALL, "data.world.num_items=150", "data.world.num_users=200", "training.epochs=2")
SASREC = ("baselines.sasrec.width=8", "baselines.sasrec.max_items=10", "baselines.sasrec.training.epochs=1")
SCRIPT = "<script>alert(1)</script>"
_VOID = {"img", "meta", "br"}


class Page(HTMLParser):
    """A page as its elements, tables and text; fails on tags that do not match."""

    def __init__(self, html):
        super().__init__()
        self.html, self.open, self.elements, self.tables, self.text = html, [], [], {}, ""
        self._rows, self._caption = [], ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "table":
            self._rows, self._caption = [], ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.text += data
        if "caption" in self.open:
            self._caption += data
        elif "td" in self.open or "th" in self.open:
            self._rows[-1][-1] += data

    def table(self, beginning):
        """Header -> cell of each row, by the row's name."""
        header, *rows = next(rows for caption, rows in self.tables.items() if caption.startswith(beginning))
        return {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in rows}


@pytest.fixture
def read_page():
    return lambda path: Page(Path(path).read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def world_run(tmp_path_factory):
    """Of the embedded world, with counting baselines, a trained one, and an oracle."""
    out = tmp_path_factory.mktemp("reported") / "world"
    run_pipeline("demo", overrides=[*WORLD, *SASREC], out=out, until="sasrec")
    return run_pipeline("demo", overrides=[*WORLD, *SASREC], out=out).path


@pytest.fixture(scope="session")
def clicks(tmp_path_factory):
    """Interactions of 30 users with 20 items; a user's name and every title hold HTML. Every item is in training."""
    folder = tmp_path_factory.mktemp("clicks")
    with (folder / "clicks.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        for user in range(30):
            name = f"<i>u{user:02d}</i>"
            writer.writerows([name, f"a{(user + step) % 20}", 86_400 * (step + 1)] for step in range(8))
    lines = [json.dumps({"item_id": f"a{row}", "title": f"{SCRIPT} & lamp {row}"}) + "\n" for row in range(20)]
    (folder / "items.jsonl").write_text("".join(lines))
    (folder / "codes.json").write_text(json.dumps({f"a{row}": [row] for row in range(20)}))
    (folder / "clicks.yaml").write_text(json.dumps({"data": {"format": "table", "interactions": "clicks.csv"}}))
    return folder


@pytest.fixture(scope="session")
def make_clicks_run(clicks):
    def make(out, *overrides):
        data = f"data.interactions={clicks / 'clicks.csv'}"
        chosen = [data, *SMALL, "training.epochs=1", *overrides]
        return run_pipeline(clicks / "clicks.yaml", overrides=chosen, out=out).path

    return make


@pytest.fixture(scope="session")
def plain_run(clicks, make_clicks_run):
    """No titles, no categories, no baselines, ready-made codes of one level, one beam of another width."""
    codes = f"tokenizer.codes={clicks / 'codes.json'}"
    beam = "evaluation.survival_beam_sizes=[3]"
    return make_clicks_run(clicks / "plain", codes, beam, "evaluation.baselines=[]", "recommendation.rank=codes")


@pytest.fixture(scope="session")
def titled_run(clicks, make_clicks_run):
    """Titles and names that hold HTML."""
    return make_clicks_run(
        clicks / "titled", f"data.items={clicks / 'items.jsonl'}", "evaluation.baselines=[popularity]"
    )


@pytest.fixture
def world_copy(world_run, tmp_path):
    return Path(shutil.copytree(world_run, tmp_path / "world"))

"""The model card of a run: what was trained on how much, how well it does by which protocol, how to use it."""

from collections.abc import Mapping
from typing import Any

import yaml

from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_write, read_json
from genrec.model_card import CARD_FILE, card, fenced, plain_line, table
from genrec.yaml_document import dump_yaml

_SECTIONS = ("generator", "training", "recommendation")
_FIGURES = ("recall@10", "ndcg@10")
_NAMES = {"recall@10": "Recall@10", "ndcg@10": "NDCG@10"}
_PROTOCOLS = {
    "test": "the list may hold items of the history",
    "test_history_filtered": "items of the history filtered out",
}
_USE = """\
from genrec import Recommender

recommender = Recommender.from_pretrained(".")  # the folder of this card
history = [str(recommender.catalogue.item_ids[0])]  # item ids, oldest first
for entry in recommender.recommend([history], k=5)[0]:
    print(entry.item_id, entry.score)
"""
_LIMITS = """\
## Limits

- It recommends the items of its catalogue. Later ones come in by `genrec add-items`, by their content and without
  training; how well they are placed has not been measured here.
- It learned from what people were shown and took, so it favours what is popular, and repeats what the log holds.
  `metrics.json` has figures by popularity and how much of the catalogue the lists show.
- A history without a known item gets no list. Figures are of offline, held-out interactions: they order models, and
  do not foretell sales.
- The folder holds `sequences.parquet`, the histories of its users: think before you publish it.
"""


def write_run_card(run: RunFolder, *, is_evaluated: bool) -> None:
    """Write it into the run; without figures where the model has not been evaluated yet."""
    metrics = read_json(run.metrics) if is_evaluated else None
    atomic_write(run.path / CARD_FILE, run_card(run, metrics).encode())


def complete_run_card(run: RunFolder) -> None:
    """Add the figures of an evaluation that is done to a card without them, which nobody has edited."""
    path = run.path / CARD_FILE
    if path.exists() and path.read_text(encoding="utf-8") == run_card(run, None):
        write_run_card(run, is_evaluated=True)


def run_card(run: RunFolder, metrics: Mapping[str, Any] | None) -> str:
    """Of a run with a trained generator; `metrics`: those of metrics.json, None where there are none."""
    config = yaml.safe_load(run.config.read_text(encoding="utf-8"))
    name = run.path.resolve().name
    return card(
        f"GenRec: {name}",
        [
            "Generative retrieval: reads a history of items, writes the semantic ID of the next one code by code, and "
            "searches inside the catalogue.\n",
            _data(run, config),
            _figures(metrics),
            f"## Use\n\nWith `genrec` installed:\n\n{fenced(_USE, 'python')}",
            _training(run, config),
            _LIMITS,
        ],
        head=None if metrics is None else {"model-index": [_index(name, metrics)]},
    )


def _data(run: RunFolder, config: Mapping[str, Any]) -> str:
    report = read_json(run.path / "prepare.json")
    if not {"kept", "split"} <= set(report):  # sequences that were not made by the prepare stage
        return "## Data\n\nNothing is known of the data.\n"
    kept, split = report["kept"], report["split"]
    made_up = " The data is made up (the embedded world)." if config["data"]["format"] == "world" else ""
    return (
        f"## Data\n\n{kept['users']:,} users, {kept['items']:,} items, {kept['interactions']:,} interactions: "
        f"{split['train']:,} to train, {split['validation']:,} to validate, {split['test']:,} to test, "
        f"split by {plain_line(config['data']['split'])}.{made_up}\n"
    )


def _figures(metrics: Mapping[str, Any] | None) -> str:
    if metrics is None:
        return "## Figures\n\nNot evaluated yet: `genrec evaluate` measures it and writes this card again.\n"
    methods = {"this model": metrics, **metrics["baselines"]}
    lines = [
        f"## Figures\n\n{metrics['users']:,} test users; the whole catalogue of {metrics['items']:,} items is ranked, "
        "a hit is the exact item. Chosen on validation.\n"
    ]
    for protocol, meaning in _PROTOCOLS.items():
        rows = [
            (plain_line(name), *(f"{figures[protocol][figure]:.4f}" for figure in _FIGURES))
            for name, figures in methods.items()
        ]
        lines.append(f"`{protocol}`: {meaning}\n\n" + table(("method", *(_NAMES[name] for name in _FIGURES)), rows))
    return "\n".join(lines)


def _training(run: RunFolder, config: Mapping[str, Any]) -> str:
    shown = {"tokenizer": _tokenizer(config["tokenizer"]), **{name: config[name] for name in _SECTIONS}}
    goes_on = "" if config.get("earlier_run") is None else " It went on from an earlier run, with newer data."
    return (
        f"## Training\n\nBy `genrec train`, seed {config['seed']}, at most {config['training']['epochs']} epochs, "
        "AdamW with warm-up and a cosine; the weights are those of the best validation. `log.jsonl` has the losses "
        f"on the way.{goes_on}\n\n{fenced(dump_yaml(shown), 'yaml')}"
    )


def _tokenizer(section: Mapping[str, Any]) -> dict[str, Any]:
    """What the semantic IDs depend on; of ready-made codes not the path, which is for nobody else."""
    if section["codes"] is not None:
        return {"codes": "ready-made", "collisions": section["collisions"]}
    chosen = {key: value for key, value in section.items() if key != "codes" and not isinstance(value, Mapping)}
    return chosen | ({section["kind"]: section[section["kind"]]} if section["kind"] in section else {})


def _index(name: str, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The figures as the hub lists them."""
    found = [
        {"type": figure, "value": round(metrics[protocol][figure], 6), "name": f"{_NAMES[figure]} ({meaning})"}
        for protocol, meaning in _PROTOCOLS.items()
        for figure in _FIGURES
    ]
    task = {"type": "recommendation", "name": "Next-item recommendation"}
    return {"name": name, "results": [{"task": task, "dataset": {"type": "own", "name": name}, "metrics": found}]}

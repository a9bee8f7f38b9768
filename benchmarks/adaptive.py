"""What a beam that follows the model's certainty saves and costs, and which score recommends better.

    python -m benchmarks.adaptive RUN --json benchmarks/results/adaptive.json

On a finished run, ranked by codes: recall@10 and NDCG@10 of every score and share of probability, which are
`recommendation.score` and `recommendation.beam_mass`, and of plain beams that are narrower for everybody, the rival.
Choose on the validation cases. Beams: for how many the decoder is asked, root included, on average per user; users
that are searched together (`genrec.generator.groups`) have as many as the least certain of them. Time: processor time
of lists of 10 against the first setting's. Settings take turns on a few users each; the median of the turns' ratios is
reported.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import torch
import yaml

from benchmarks.exact import Histories, test_histories
from benchmarks.machine import command_line, machine, use_threads
from genrec import Recommender
from genrec.atomic_files import atomic_json
from genrec.data.prepared import Prepared, read_prepared
from genrec.data.splits import test_cases, validation_cases
from genrec.evaluation.evaluate import rank_cases
from genrec.evaluation.metrics import metrics_at
from genrec.generator import beam_search
from tokenizer.plain_tables import plain_table
from trie import Beams

K = 10
FIGURES = (f"recall@{K}", f"ndcg@{K}")
PARTS = ("validation", "validation_history_filtered", "test", "test_history_filtered")


class Setting(NamedTuple):
    """How lists are searched."""

    score: str
    beam_size: int
    mass: float

    def of(self, recommender: Recommender, *, batch_size: int) -> Recommender:
        """The recommender that does it so."""
        config = replace(
            recommender.config,
            score=self.score,
            beam_size=self.beam_size,
            beam_mass=self.mass,
            rank="codes",
            k=K,
            batch_size=batch_size,
        )
        return replace(recommender, config=config)


Figures = dict[Setting, dict[str, Any]]


class Load(NamedTuple):
    """How users are asked about."""

    batch_size: int
    users: int
    users_of_a_turn: int


LOADS = (Load(1, 128, 8), Load(64, 1024, 64))


def main() -> None:
    """Measure every setting, print a table, write the JSON."""
    options = _parser().parse_args()
    use_threads(options.threads)
    loaded, prepared = Recommender.from_pretrained(options.run), read_prepared(options.run)
    masses, beams = ([float(text) for text in listed.split(",")] for listed in (options.masses, options.beams))
    settings = [Setting(score, loaded.config.beam_size, mass) for score in ("joint", "catalog") for mass in masses]
    settings += [Setting("joint", int(size), 1.0) for size in beams]
    figures: Figures = {setting: {"quality": quality(loaded, prepared, setting)} for setting in settings}
    for load in LOADS:
        histories = test_histories(options.run, load.users)
        for setting, found in cost(loaded, histories, settings, load, rounds=options.rounds).items():
            figures[setting][f"batch_{load.batch_size}"] = found
    print(shown(figures))
    if options.json:
        about = {"command": command_line("benchmarks.adaptive"), **machine(), "rounds": options.rounds}
        about |= {"seed": yaml.safe_load((options.run / "config.yaml").read_text(encoding="utf-8"))["seed"]}
        about |= {"users": len(prepared.interactions.user_ids), "trie": list(loaded.trie.trie.num_nodes)}
        found = [{**setting._asdict(), **each} for setting, each in figures.items()]
        atomic_json(options.json, {"settings": found, "about": about})


def quality(loaded: Recommender, prepared: Prepared, setting: Setting) -> dict[str, dict[str, float]]:
    """The figures of the validation and the test cases, without and with the history filter."""
    interactions, splits = prepared.interactions, prepared.splits
    cases = {"validation": validation_cases(interactions, splits), "test": test_cases(interactions, splits)}
    recommender, found = setting.of(loaded, batch_size=256), {}
    for part in PARTS:
        filtered = part.endswith("_history_filtered")
        ranks = rank_cases(
            recommender,
            interactions,
            cases[part.removesuffix("_history_filtered")],
            exclude_history=filtered,
            beam_size=setting.beam_size,
        )
        found[part] = {name: metrics_at(ranks.codes)[name] for name in FIGURES}
    return found


def cost(
    loaded: Recommender, histories: Histories, settings: Sequence[Setting], load: Load, *, rounds: int
) -> dict[Setting, dict[str, float]]:
    """Beams and proofs of every setting, and its time against the first setting's."""
    asks = {
        setting: partial(setting.of(loaded, batch_size=load.batch_size).recommend, exclude_history=False)
        for setting in settings
    }
    figures: dict[Setting, dict[str, float]] = {}
    for setting, ask in asks.items():
        with noted_beams() as noted:
            lists = ask(histories)
        figures[setting] = {name: 1 + sum(counts) / len(histories) for name, counts in noted.items()}
        figures[setting]["mean_certified"] = float(np.mean([found.certified or 0 for found in lists]))
    turns = [histories[start : start + load.users_of_a_turn] for start in range(0, load.users, load.users_of_a_turn)]
    seconds = np.array([seconds_of_turn(list(asks.values()), users) for _ in range(rounds) for users in turns])
    ratios = np.median(seconds / seconds[:, :1], axis=0)
    milliseconds = 1e3 * np.median(seconds, axis=0) / load.users_of_a_turn
    for place, found in enumerate(figures.values()):
        found |= {"time_ratio": float(ratios[place]), "ms_per_user": float(milliseconds[place])}
    return figures


def seconds_of_turn(asks: Sequence[Callable[[Histories], object]], users: Histories) -> list[float]:
    """Processor seconds of each, one after the other and back again, so that a machine that slows down hits all."""
    seconds = [0.0] * len(asks)
    for place in (*range(len(asks)), *reversed(range(len(asks)))):
        began = time.process_time()
        asks[place](users)
        seconds[place] += time.process_time() - began
    return [both / 2 for both in seconds]


@contextmanager
def noted_beams() -> Iterator[dict[str, list[int]]]:
    """For how many beams the decoder is asked after the root, and how many of these are alive, call by call."""
    noted: dict[str, list[int]] = {"beams_asked": [], "beams_alive": []}
    narrowed = beam_search.narrowed

    def noting(*arguments: Any, **options: Any) -> Beams:
        beams = narrowed(*arguments, **options)
        noted["beams_asked"].append(beams.score.numel())
        noted["beams_alive"].append(int((beams.score > -torch.inf).sum()))
        return beams

    with patch.object(beam_search, "narrowed", noting):
        yield noted


def shown(figures: Figures) -> str:
    """A line for each setting."""
    header = ["score", "beam", "mass"]
    header += [f"{part.replace('_history_filtered', ', filtered')} {name}" for part in PARTS for name in ("R", "N")]
    for load in LOADS:
        header += [f"batch {load.batch_size}: asked", "alive", "certified", "time"]
    lines = []
    for setting, found in figures.items():
        line = [setting.score, str(setting.beam_size), f"{setting.mass:g}"]
        line += [f"{found['quality'][part][name]:.4f}" for part in PARTS for name in FIGURES]
        for load in LOADS:
            here = found[f"batch_{load.batch_size}"]
            line += [f"{here[name]:.1f}" for name in ("beams_asked", "beams_alive", "mean_certified")]
            line.append(f"{here['time_ratio']:.3f}")
        lines.append(line)
    return plain_table(header, lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.adaptive", description="Beams of adaptive width.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--masses", default="1,0.999,0.99,0.95,0.9,0.8", help="shares of probability; the first is 1")
    parser.add_argument("--beams", default="10,15,20,30", help="widths of plain beams")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

"""How often lists are proven to be the true top by their codes, and what proving the others costs.

    python -m benchmarks.exact RUN --json FILE
    python -m benchmarks.exact RUN --users 500 --check      # compare with scoring every item

On the test users of a finished run, ranked by codes. Seconds are processor time of this process; every figure stands
beside the plain search of the same users in the same run, since only their ratio says something.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks.machine import command_line, machine
from genrec import Recommender
from genrec.data.prepared import read_prepared
from genrec.data.splits import test_cases
from genrec.recommendation import exact, recommender
from genrec.recommendation.lists import RecommendationList

Histories = list[list[str]]
USERS_CHECKED_AT_ONCE = 512


class Setting(NamedTuple):
    """What is asked for."""

    score: str
    exclude_history: bool
    k: int

    def __str__(self) -> str:
        return f"{self.score}, top {self.k}, history {'filtered' if self.exclude_history else 'kept'}"


def main() -> None:
    """Measure every setting, print a line each, write the JSON."""
    parser = argparse.ArgumentParser(description="How often lists are proven, and what proving the others costs.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--k", default="10,50", help="lengths of the lists")
    parser.add_argument("--users", type=int, help="so many test users, evenly spread; default: all")
    parser.add_argument("--check", action="store_true", help="compare exact lists with scoring every item")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    histories = test_histories(options.run, options.users)
    lengths = [int(k) for k in options.k.split(",")]
    settings = [Setting(score, keep, k) for k in lengths for score in ("joint", "catalog") for keep in (False, True)]
    loaded = Recommender.from_pretrained(options.run)
    results = []
    for setting in settings:
        scored = replace(loaded, config=replace(loaded.config, score=setting.score, rank="codes"))
        scored.recommend(histories[:64], setting.k)
        figures = (checked if options.check else measured)(scored, histories, setting)
        results.append({**setting._asdict(), **figures})
        print(f"{setting}: {', '.join(f'{name} {shown(figure)}' for name, figure in figures.items())}", flush=True)
    if options.json:
        report = {"command": command_line("benchmarks.exact"), **machine(), "users": len(histories)}
        report |= {"beam_size": loaded.config.beam_size, "trie": list(loaded.trie.trie.num_nodes)}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**report, "settings": results}, indent=2) + "\n")


def test_histories(run: Path, num_users: int | None) -> Histories:
    """The histories of the run's test users, or of some of them."""
    prepared = read_prepared(run)
    interactions, cases = prepared.interactions, test_cases(prepared.interactions, prepared.splits)
    chosen = np.arange(len(cases.ends))
    if num_users is not None and num_users < len(chosen):
        chosen = np.linspace(0, len(chosen) - 1, num_users).astype(int)
    return [
        prepared.catalogue.item_ids[
            interactions.items[interactions.offsets[cases.users[case]] : cases.ends[case]]
        ].tolist()
        for case in chosen
    ]


def measured(recommender: Recommender, histories: Histories, setting: Setting) -> dict[str, Any]:
    """Proofs of the plain beam, and the time and beams of exact lists against it."""
    ask = partial(recommender.recommend, histories, setting.k, exclude_history=setting.exclude_history)
    plain_seconds, plain = timed(ask)
    figures: dict[str, Any] = {
        "proven_by_the_plain_beam": float(np.mean([found.exact for found in plain])),
        "mean_certified": sum(found.certified or 0 for found in plain) / len(plain),
        "plain_seconds": plain_seconds,
    }
    start = recommender.config.beam_size
    with noted_widths(len(histories)) as widths:
        seconds, lists = timed(partial(ask, exact=True))
    figures |= {
        "exact_over_plain": seconds / plain_seconds,
        "budget_exhausted": int(sum(not found.exact for found in lists)),
        "last_beams": histogram(widths),
        "exact_from_the_plain_beam_over_plain": timed(partial(ask, exact=True, beam_size=start))[0] / plain_seconds,
    }
    with patch.object(exact, "GROWTH", math.inf):
        figures["straight_to_the_sure_width_over_plain"] = timed(partial(ask, exact=True))[0] / plain_seconds
    sure = [exact.sure_width(found[-1].score) for found in lists if len(found)]
    return figures | {"sure_beams": {str(q): float(np.quantile(sure, q)) for q in (0.1, 0.5, 0.9, 0.99, 1.0)}}


def checked(recommender: Recommender, histories: Histories, setting: Setting) -> dict[str, Any]:
    """Exact lists against the scores of all items: how many lists differ by more than rounding and ties."""
    item_ids = recommender.catalogue.item_ids.tolist()
    differing, largest, unproven = 0, 0.0, 0
    for start in range(0, len(histories), USERS_CHECKED_AT_ONCE):
        part = histories[start : start + USERS_CHECKED_AT_ONCE]
        lists = recommender.recommend(part, setting.k, exclude_history=setting.exclude_history, exact=True)
        for history, found, scores in zip(part, lists, recommender.score_items(part, item_ids), strict=True):
            known = set(history) if setting.exclude_history else set()
            row = {item: float(score) for item, score in zip(item_ids, scores, strict=True) if item not in known}
            difference = distance_to_top(found, row)
            largest, differing = max(largest, difference), differing + (difference > 1e-4)
            unproven += not found.exact
    return {"lists": len(histories), "differing": differing, "largest_difference": largest, "unproven": unproven}


def distance_to_top(found: RecommendationList, scores: dict[str, float]) -> float:
    """The most by which a place of the list misses the true score of that place; infinity where items are wrong.

    An item that ties with the true one is as good, so items are compared by their own true scores.
    """
    best = sorted(scores.values(), reverse=True)[: len(found)]
    items = [entry.item_id for entry in found]
    if len(set(items)) < len(items) or not set(items) <= set(scores) or len(best) < len(items):
        return math.inf
    reported = [abs(entry.score - score) for entry, score in zip(found, best, strict=True)]
    chosen = [abs(scores[item] - score) for item, score in zip(items, best, strict=True)]
    return max([*reported, *chosen], default=0.0)


def timed(ask: Callable[[], list[RecommendationList]]) -> tuple[float, list[RecommendationList]]:
    """Processor seconds of a call, and its lists."""
    start = time.process_time()
    lists = ask()
    return time.process_time() - start, lists


@contextmanager
def noted_widths(num_lists: int) -> Iterator[list[int]]:
    """The last beam that each list was searched with, filled in while lists are proven."""
    widths = [0] * num_lists
    prove = exact.prove

    def noting(answers: Sequence[RecommendationList], search: Any, *, beam_size: int, limits: exact.Limits) -> Any:
        widths[:] = [beam_size] * num_lists

        def noted(places: Sequence[int], width: int) -> Any:
            for place in places:
                widths[place] = width
            return search(places, width)

        return prove(answers, noted, beam_size=beam_size, limits=limits)

    with patch.object(recommender, "prove", noting):
        yield widths


def histogram(widths: Sequence[int]) -> dict[str, int]:
    """How many lists had a last beam of up to 1, 2, 4, 8, ..."""
    tops = [1 << max(width - 1, 0).bit_length() for width in widths]
    return {f"<={top}": tops.count(top) for top in sorted(set(tops))}


def shown(figure: Any) -> str:
    """A figure for the table."""
    return f"{figure:.4g}" if isinstance(figure, float) else str(figure)


if __name__ == "__main__":
    main()

"""What a blend gains and costs with wider beams and more candidates.

    python -m benchmarks.widths RUN --json benchmarks/results/widths-office.json

On a finished run: quality of every pair of `recommendation.beam_size` and `recommendation.candidates`, with the weight
of the item head that is best on the validation cases there, beside the item head over the whole catalogue, which no
search by codes can beat by much. Choose on validation. Time: processor time of lists of ten for batches of 64 users
against the first setting's; settings take turns on the same users, the median of the turns' ratios is reported.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from benchmarks.adaptive import seconds_of_turn
from benchmarks.exact import Histories, test_histories
from benchmarks.machine import command_line, machine, use_threads
from genrec import Recommender
from genrec.atomic_files import atomic_json
from genrec.data.interactions import Interactions
from genrec.data.prepared import Prepared, read_prepared
from genrec.data.splits import Cases, sampled_numbers, test_cases, validation_cases
from genrec.evaluation.blend_weights import BLEND_WEIGHTS, best_weight, ranks_by_weight
from genrec.evaluation.evaluate import rank_cases
from genrec.evaluation.item_head import ItemHead
from genrec.evaluation.metrics import metrics_at
from genrec.evaluation.scorers import scorer_metrics, scorer_places
from tokenizer.plain_tables import plain_table

K = 10
USERS_OF_A_TURN = 64
PARTS = ("validation", "test", "test_history_filtered")


class Width(NamedTuple):
    """How widely lists are searched."""

    beam_size: int
    candidates: int

    def of(self, recommender: Recommender, *, batch_size: int = USERS_OF_A_TURN) -> Recommender:
        """The recommender that does it so."""
        choices = {"rank": "blend", "k": K, "batch_size": batch_size, **self._asdict()}
        return replace(recommender, config=replace(recommender.config, **choices))


def main() -> None:
    """Measure every width, print a table, write the JSON."""
    options = _parser().parse_args()
    use_threads(options.threads)
    loaded, prepared = Recommender.from_pretrained(options.run), read_prepared(options.run)
    beams, candidates = ([int(text) for text in listed.split(",")] for listed in (options.beams, options.candidates))
    widths = [Width(beam, items) for beam in beams for items in candidates if items >= beam]
    cases = cases_of(prepared, at_most=options.cases)
    rows = [{**width._asdict(), **quality(loaded, prepared.interactions, cases, width)} for width in widths]
    ratios = time_ratios(loaded, test_histories(options.run, options.users), widths, rounds=options.rounds)
    for row, ratio in zip(rows, ratios.tolist(), strict=True):
        row["time_ratio"] = ratio
    head = of_item_head(loaded, prepared.interactions, cases)
    print(shown(rows, head))
    if options.json:
        about = {"command": command_line("benchmarks.widths"), **machine(), "rounds": options.rounds}
        about |= {"cases": {part: len(chosen.ends) for part, chosen in cases.items()}, "items": len(loaded.catalogue)}
        atomic_json(options.json, {"kind": "widths", "widths": rows, "item_head": head, "about": about})


def cases_of(prepared: Prepared, *, at_most: int) -> dict[str, Cases]:
    """The validation and the test cases, or as many of each by chance."""
    interactions, splits = prepared.interactions, prepared.splits
    both = {"validation": validation_cases(interactions, splits), "test": test_cases(interactions, splits)}
    return {part: cases.at(sampled_numbers(len(cases.ends), at_most=at_most, seed=0)) for part, cases in both.items()}


def quality(
    loaded: Recommender, interactions: Interactions, cases: Mapping[str, Cases], width: Width
) -> dict[str, Any]:
    """Recall and NDCG at ten by part, with the weight that is best on the validation cases without a filter."""
    recommender = width.of(loaded, batch_size=256)
    ranks = ranks_by_weight(recommender, interactions, cases["validation"], beam_size=width.beam_size)
    choice = best_weight(ranks)
    chosen = replace(recommender, config=replace(recommender.config, blend_weight=choice.weight))
    found: dict[str, Any] = {"blend_weight": choice.weight}
    found["validation"] = at_ten(metrics_at(ranks[BLEND_WEIGHTS.index(choice.weight)]))
    for part in PARTS[1:]:
        filtered = part.endswith("_history_filtered")
        by_part = rank_cases(chosen, interactions, cases["test"], exclude_history=filtered, beam_size=width.beam_size)
        found[part] = at_ten(metrics_at(by_part.blend))
    return found


def of_item_head(
    loaded: Recommender, interactions: Interactions, cases: Mapping[str, Cases]
) -> dict[str, dict[str, float]]:
    """The same figures of the item head over the whole catalogue."""
    head, found = ItemHead(loaded.model), {}
    for part, chosen in cases.items():
        places = scorer_places(head, interactions, chosen)
        found[part] = at_ten(scorer_metrics(places.unfiltered))
        found[f"{part}_history_filtered"] = at_ten(scorer_metrics(places.history_filtered))
    return {part: found[part] for part in PARTS}


def at_ten(metrics: Mapping[str, float]) -> dict[str, float]:
    """The two figures that are shown."""
    return {name: metrics[name] for name in (f"recall@{K}", f"ndcg@{K}")}


def time_ratios(
    loaded: Recommender, histories: Histories, widths: Sequence[Width], *, rounds: int
) -> Float64[ndarray, " widths"]:
    """Processor time of each width against the first one's."""
    asks: list[Callable[[Histories], object]] = [width.of(loaded).recommend for width in widths]
    turns = [histories[start : start + USERS_OF_A_TURN] for start in range(0, len(histories), USERS_OF_A_TURN)]
    seconds_of_turn(asks, turns[0])  # the first lists of a width prepare what the next ones share
    seconds = np.array([seconds_of_turn(asks, users) for _ in range(rounds) for users in turns])
    return np.median(seconds / seconds[:, :1], axis=0)


def shown(rows: Sequence[Mapping[str, Any]], head: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each width, and the item head's."""
    header = ("beam", "candidates", "weight", *(f"{part} {name}" for part in PARTS for name in ("R", "N")), "time")

    def figures(found: Mapping[str, Any]) -> list[str]:
        return [f"{found[part][name]:.4f}" for part in PARTS for name in (f"recall@{K}", f"ndcg@{K}")]

    lines = [
        (
            str(row["beam_size"]),
            str(row["candidates"]),
            f"{row['blend_weight']:g}",
            *figures(row),
            f"{row['time_ratio']:.2f}",
        )
        for row in rows
    ]
    return plain_table(header, [*lines, ("all", "all", "1", *figures(head), "")])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.widths", description="Beams and candidates of a blend.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--beams", default="50,20,100,200")
    parser.add_argument("--candidates", default="200,500,1000")
    parser.add_argument("--cases", type=int, default=5000, help="of validation and of test, by chance, at most")
    parser.add_argument("--users", type=int, default=512, help="whose lists are timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

"""Why a run's figures are what they are: the part "diagnostics" of metrics.json.

    survival    share of the targets whose prefix is in the beam after each level: {"10": [..], "20": .., "50": ..}
    nll         mean NLL of the targets' codes, level by level, in nats: "generator" beside counting (`code_counts`)
    slices      recall@10 and ndcg@10 by "popularity" of the target and by "history_length" (`slices`)
    coverage    protocol -> method -> what all lists of ten show of the catalogue, and the share of popular items
                among their places (`coverage`)
    popular_share_of_targets    the same share among what the users took
    alarms      what is wrong, in words; empty for a sound run

Survival and NLL are without the history filter. Methods are "generator" (the run's default reading),
"generator_codes", and the baselines.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from genrec.data.interactions import Interactions
from genrec.data.splits import Cases, Splits
from genrec.evaluation.code_counts import case_pairs, counted_nll, training_pairs
from genrec.evaluation.coverage import coverage_of, popular_items, share_of_popular
from genrec.evaluation.metrics import Places
from genrec.evaluation.scorers import Standing
from genrec.evaluation.slices import (
    HISTORY_LENGTH_FROM,
    POPULARITY_FROM,
    history_lengths,
    slice_figures,
    training_counts,
)
from genrec.evaluation.target_paths import TargetPaths, survival_by_level
from genrec.generator.vocabulary import Vocabulary

Standings = Mapping[str, Mapping[str, Standing]]
"""Protocol -> method."""
GENERATOR, GENERATOR_CODES = "generator", "generator_codes"


class CaseSet(NamedTuple):
    """What the figures are about."""

    interactions: Interactions
    splits: Splits
    cases: Cases


def diagnose(vocabulary: Vocabulary, tested: CaseSet, *, standings: Standings, paths: TargetPaths) -> dict[str, Any]:
    """All parts."""
    popular = popular_items(training_counts(tested.interactions, tested.splits))
    coverage = {
        protocol: {
            method: coverage_of(standing.times_listed, num_lists=len(tested.cases.ends))._asdict()
            | {"popular_share": share_of_popular(standing.times_listed, popular)}
            for method, standing in methods.items()
        }
        for protocol, methods in standings.items()
    }
    targets = tested.interactions.items[tested.cases.ends]
    times_taken = np.bincount(targets, minlength=tested.interactions.num_items)
    nll = nll_by_level(vocabulary, tested, paths)
    num_levels = len(vocabulary.level_sizes)
    return {
        "survival": {str(size): survival_by_level(kept, num_levels) for size, kept in paths.survived.items()},
        "nll": nll,
        "slices": _slices(tested, places_of(standings)),
        "coverage": coverage,
        "popular_share_of_targets": share_of_popular(times_taken, popular),
        "alarms": [*collapse_alarms(coverage), *nll_alarms(nll)],
    }


def nll_by_level(vocabulary: Vocabulary, tested: CaseSet, paths: TargetPaths) -> dict[str, list[float]]:
    """Means over the cases, in nats; "uniform" is what a model has that knows nothing."""
    counted = counted_nll(
        vocabulary.item_codes.cpu().numpy(),
        vocabulary.level_sizes,
        training=training_pairs(tested.interactions, tested.splits),
        cases=case_pairs(tested.interactions, tested.cases),
    )
    return {
        "generator": paths.nll.mean(axis=0, dtype=np.float64).tolist(),
        "by_prefix": counted.by_prefix.mean(axis=0).tolist(),
        "by_prefix_and_last_item": counted.by_prefix_and_last_item.mean(axis=0).tolist(),
        "uniform": np.log(vocabulary.level_sizes).tolist(),
    }


def collapse_alarms(coverage: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """A sentence for every reading of the generator that shows everybody the same items, under any protocol."""
    alarms = []
    for method in (GENERATOR, GENERATOR_CODES):
        collapsed = [methods[method] for methods in coverage.values() if methods[method]["collapsed"]]
        if collapsed:
            fewest = min(figures["distinct_items"] for figures in collapsed)
            alarms.append(
                f"{method} has collapsed: all its lists of ten hold {fewest} different items; look at the learning "
                "rate, at nll_level_1 in log.jsonl and at the codes (genrec tokenize)"
            )
    return alarms


def nll_alarms(nll: Mapping[str, Sequence[float]]) -> list[str]:
    """A sentence if the first code is dead: no better known than by counting without a history.

    The mean NLL over all levels would hide it. Later levels are no reason for an alarm: after a prefix that the
    generator finds unlikely it may be worse than counting, and its lists good all the same.
    """
    own, counted = nll["generator"][0], nll["by_prefix"][0]
    if own < counted:
        return []
    return [
        f"the first code is dead: its NLL is {own:.3f}, and counting without a history has {counted:.3f}; train "
        "longer, or look at the learning rate and at the codes (genrec tokenize)"
    ]


def places_of(standings: Standings) -> dict[str, dict[str, Places]]:
    """Protocol -> method -> places of the targets."""
    return {
        protocol: {method: standing.places for method, standing in methods.items()}
        for protocol, methods in standings.items()
    }


def _slices(tested: CaseSet, places: Mapping[str, Mapping[str, Places]]) -> dict[str, Any]:
    interactions, splits, cases = tested
    popularity = training_counts(interactions, splits)[interactions.items[cases.ends]]
    return {
        "popularity": slice_figures(popularity, POPULARITY_FROM, places),
        "history_length": slice_figures(history_lengths(interactions, cases), HISTORY_LENGTH_FROM, places),
    }

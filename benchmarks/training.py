"""Trained positions per second: our pass over whole sequences against a T5 of the same size on one row per prefix.

    python -m benchmarks.training --run RUN --json benchmarks/results/training.json     # lengths and IDs of a run
    python -m benchmarks.training --quick                                               # does it work? made data

A position is one target item. Both have 4 + 4 layers of width 128, 4 heads, a feed-forward of 512, histories of the
last 20 items, dropout 0.1, AdamW and clipped gradients, in float32, and learn the codes of the next item. The T5
(transformers' own) is trained as TIGER is: one row per target, its history as tokens, 256 rows a batch, padded to the
longest, in random order or sorted by length. Ours are batches as the trainer makes them, 128 windows; `small` has as
many targets a step as the T5 instead. `with_items` learns all that a run learns by default: the item head over the
whole catalogue too, distilled. All take turns in one process, with steps evenly from all of an epoch; ratios are the
medians over the turns.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from accelerate.utils import convert_outputs_to_fp32
from jaxtyping import Int
from numpy import ndarray
from torch import nn

from benchmarks.decoders import FIRST_TOKEN, sized_options, sized_t5
from benchmarks.machine import command_line, machine
from benchmarks.timing import seconds_of
from genrec.artifacts import RunFolder
from genrec.atomic_files import atomic_json
from genrec.data.batches import StepWindows, prefix_windows, sequence_windows, window_batch
from genrec.data.epochs import HeldWindows
from genrec.data.interactions import Interactions
from genrec.data.prepared import read_prepared
from genrec.data.splits import Splits, leave_one_out
from genrec.generator.config import GeneratorConfig
from genrec.generator.losses import LossConfig
from genrec.generator.model import Generator
from genrec.generator.prefixes import Prefixes
from genrec.stored_ids import load_semantic_ids
from genrec.training.generator_objective import GeneratorObjective
from genrec.training.loop_config import TrainingConfig
from genrec.training.optimizer import OptimizerConfig, make_optimizer
from tokenizer.plain_tables import plain_table
from trie import PrefixTrie

MAX_ITEMS, ROWS, WINDOWS, DROPOUT = 20, 256, TrainingConfig().batch_size, 0.1


class Sequences(NamedTuple):
    """What is trained on."""

    interactions: Interactions
    splits: Splits
    codes: Int[ndarray, "items levels"]
    level_sizes: tuple[int, ...]


class Way(NamedTuple):
    """One way to train: a step on some windows."""

    step: Callable[[StepWindows], None]
    batches: list[StepWindows]
    """Of one epoch, in the order in which some are taken."""


class Options(NamedTuple):
    """What is measured, and how long."""

    sequences: Sequences
    turns: int
    steps: int
    json: Path | None


def main() -> None:
    """Measure, print a table, write the JSON."""
    options = typed("Trained positions per second against a T5 on one row per prefix.", steps=8)
    sequences = options.sequences
    figures = measured(ways(sequences), turns=options.turns, steps=options.steps)
    figures |= {
        "positions": int(np.maximum(sequences.splits.train_end - sequences.interactions.offsets[:-1] - 1, 0).sum())
    }
    print(plain_table(["way", "positions/s", "of the t5's", "of the sorted one's"], list(rows_of(figures))))
    if options.json:
        atomic_json(options.json, {"command": command_line("benchmarks.training"), **machine(), **figures})


def typed(description: str, *, steps: int) -> Options:
    """The options of the command line, with so many steps a turn if it does not say."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--run", type=Path, help="A run folder with data and semantic IDs, such as of Beauty.")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, default=steps, help="Steps of each way a turn.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    sequences = made_sequences() if given.run is None else sequences_of(given.run)
    return Options(sequences, *((1, 2) if given.quick else (given.turns, given.steps)), given.json)


def measured(compared: Mapping[str, Way], *, turns: int, steps: int) -> dict[str, Any]:
    """Positions per second of every way in every turn, and the medians of the ratios of ours to the T5's."""
    speeds = speeds_by_turn(compared, turns=turns, steps=steps)
    figures: dict[str, Any] = {}
    for name in compared:
        prefix = "" if name == "ours" else f"{name}_"
        figures[f"{prefix}positions_per_second"] = statistics.median(speeds[name])
        if not name.startswith("t5"):
            figures[f"{prefix}ratio"] = median_ratio(speeds[name], speeds["t5"])
            figures[f"{prefix}sorted_ratio"] = median_ratio(speeds[name], speeds["t5_sorted"])
    return {**figures, "speeds_of_turns": speeds}


def speeds_by_turn(compared: Mapping[str, Way], *, turns: int, steps: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Positions per second of every way in every turn, after some steps that make room or compile what is needed."""
    speeds: dict[str, list[float]] = {name: [] for name in compared}
    taken = {name: spread_out(way.batches) for name, way in compared.items()}
    for way in compared.values():
        for batch in islice(spread_out(way.batches), warm_up):
            way.step(batch)
    for _ in range(turns):
        for name, way in compared.items():
            chosen = list(islice(taken[name], steps))
            seconds = seconds_of(lambda way=way, chosen=chosen: [way.step(batch) for batch in chosen])
            speeds[name].append(sum(batch.num_targets for batch in chosen) / seconds)
    return speeds


def median_ratio(ours: list[float], theirs: list[float]) -> float:
    """The median over the turns."""
    return statistics.median(our / their for our, their in zip(ours, theirs, strict=True))


def rows_of(figures: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The table's."""
    for name, prefix in (("ours", ""), ("ours, small batches", "small_"), ("ours, item head too", "with_items_")):
        ratios = (f"{figures[prefix + ratio]:.1f}" for ratio in ("ratio", "sorted_ratio"))
        yield name, f"{figures[prefix + 'positions_per_second']:.0f}", *ratios
    for name in ("t5", "t5_sorted"):
        yield name, f"{figures[name + '_positions_per_second']:.0f}", "", ""


def spread_out(batches: list[StepWindows]) -> Iterator[StepWindows]:
    """All batches in steps of the golden section, so that any few in a row are from everywhere; again and again."""
    place = 0.0
    while True:
        yield batches[int(place * len(batches))]
        place = (place + 0.6180339887498949) % 1


def ways(sequences: Sequences) -> dict[str, Way]:
    """What is compared."""
    interactions, splits = sequences.interactions, sequences.splits
    begins, ends = interactions.offsets[:-1], splits.train_end
    whole = HeldWindows(interactions.items, sequence_windows(begins, ends, max_items=MAX_ITEMS))
    windows_a_batch = round(ROWS * whole.num_windows / int(np.maximum(ends - 1 - begins, 0).sum()))
    t5 = t5_step(sequences)
    batches, small = (list(whole.steps(batch_size=n, seed=0, epoch=0)) for n in (WINDOWS, windows_a_batch))
    codes_alone = our_step(sequences, LossConfig(item_weight=0.0, distillation=0.0))
    return {
        "ours": Way(codes_alone, batches),
        "small": Way(codes_alone, small),
        "with_items": Way(our_step(sequences, LossConfig()), batches),
        **{name: Way(t5, rows) for name, rows in rows_by_prefix(sequences).items()},
    }


def rows_by_prefix(sequences: Sequences) -> dict[str, list[StepWindows]]:
    """The T5's batches: one row per target, in random order and sorted by length."""
    interactions, splits = sequences.interactions, sequences.splits
    prefixes = prefix_windows(interactions.offsets[:-1], splits.train_end, max_items=MAX_ITEMS)
    data = HeldWindows(interactions.items, prefixes)
    by_chance = np.random.default_rng(0).permutation(data.num_windows)
    by_length = np.argsort(prefixes.lengths, kind="stable")
    return {"t5": in_batches(data, by_chance, size=ROWS), "t5_sorted": in_batches(data, by_length, size=ROWS)}


def in_batches(data: HeldWindows, order: Int[ndarray, " windows"], *, size: int) -> list[StepWindows]:
    """The windows in this order, `size` at a time, the last few left out."""
    chosen = [order[start : start + size] for start in range(0, len(order) - size + 1, size)] or [order]
    return [StepWindows(data.items, data.windows.at(batch)) for batch in chosen]


def our_step(
    sequences: Sequences, loss: LossConfig, *, is_bf16: bool = False, is_compiled: bool = False
) -> Callable[[StepWindows], None]:
    """One update of our generator, its forward pass in bf16 as accelerate does it, or compiled."""
    with_items = loss.item_weight > 0
    options = sized_options(dropout=DROPOUT, max_items=MAX_ITEMS, item_vectors=with_items, repeat_bias=with_items)
    num_items, sizes = len(sequences.codes), sequences.level_sizes
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig.from_options(options, level_sizes=sizes, num_items=num_items)).train()
    generator.vocabulary.set_codes(torch.from_numpy(sequences.codes.astype(np.int32)))
    if is_bf16:
        in_bf16: Any = convert_outputs_to_fp32(torch.autocast("cpu", torch.bfloat16)(generator.forward))
        generator.forward = in_bf16
    if is_compiled:
        generator.compile(dynamic=True)
    prefixes = Prefixes(PrefixTrie.from_codes(sequences.codes, level_sizes=sizes))
    objective = GeneratorObjective(loss, generator.vocabulary, prefixes, None)
    optimizer = make_optimizer(generator, OptimizerConfig())

    def step(chosen: StepWindows) -> None:
        batch = window_batch(*chosen)
        update(generator, optimizer, objective.losses(generator, batch).total / chosen.num_targets)

    return step


def t5_step(sequences: Sequences) -> Callable[[StepWindows], None]:
    """One update of the T5: its own loss over the target's codes and the end."""
    num_levels = len(sequences.level_sizes)
    offsets = FIRST_TOKEN + np.concatenate([[0], np.cumsum(sequences.level_sizes)])
    tokens = torch.from_numpy(sequences.codes.astype(np.int64) + offsets[:-1])
    model = sized_t5(int(offsets[-1])).train()
    optimizer = make_optimizer(model, OptimizerConfig())

    def step(chosen: StepWindows) -> None:
        batch = window_batch(*chosen)
        known = (batch.history >= 0).repeat_interleave(num_levels, dim=1)
        read = tokens[batch.history.clamp(min=0)].flatten(1).where(known, 0)
        labels = torch.cat([tokens[batch.targets[:, 0]], torch.ones(len(batch.targets), 1, dtype=torch.int64)], dim=1)
        update(model, optimizer, model(input_ids=read, attention_mask=known.long(), labels=labels).loss)

    return step


def update(model: nn.Module, optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> None:
    """Backward, clip, step."""
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()


def sequences_of(path: Path) -> Sequences:
    """Those of a run that has semantic IDs."""
    run = RunFolder.open(path)
    prepared, semantic_ids = read_prepared(run.path), load_semantic_ids(run)
    return Sequences(prepared.interactions, prepared.splits, semantic_ids.codes, semantic_ids.level_sizes)


def made_sequences(*, num_users: int = 2000, num_items: int = 1000) -> Sequences:
    """Sequences of at least 5 items, of 8.9 on average, and IDs of three codes, by chance."""
    random = np.random.default_rng(0)
    lengths = 4 + random.geometric(1 / 4.9, size=num_users)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    items = random.integers(num_items, size=int(offsets[-1])).astype(np.int32)
    names = partial(np.char.add, "n")
    interactions = Interactions(
        names(np.arange(num_users).astype(str)), names(np.arange(num_items).astype(str)), offsets, items
    )
    codes = random.permutation(256 * 4)[:num_items]
    return Sequences(
        interactions, leave_one_out(interactions), np.stack([codes // 4, codes % 4, codes % 7], 1), (256, 4, 7)
    )


if __name__ == "__main__":
    main()

"""What a training step is worth in another form: bf16, compiled, windows that are not grouped by length.

    python -m benchmarks.training_forms --run RUN --json benchmarks/results/training-forms.json
    python -m benchmarks.training_forms --quick                                          # does it work? made data

The generator of `benchmarks.training` with all that a run learns by default, on the same sequences: 4 + 4 layers of
width 128, the item head over the whole catalogue, distilled. Every form takes turns with the default in one process, on
steps evenly from all of an epoch; ratios are the medians over the turns. `padding` is the share of the places in a
form's batches that hold no item, beside that of the T5's batches.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.machine import command_line, machine
from benchmarks.training import (
    MAX_ITEMS,
    WINDOWS,
    Sequences,
    Way,
    in_batches,
    median_ratio,
    our_step,
    rows_by_prefix,
    speeds_by_turn,
    typed,
)
from genrec.atomic_files import atomic_json
from genrec.data.batches import StepWindows, sequence_windows
from genrec.data.epochs import HeldWindows
from genrec.generator.losses import LossConfig
from tokenizer.plain_tables import plain_table


def main() -> None:
    """Measure, print a table, write the JSON."""
    options = typed("What a training step is worth in another form.", steps=16)
    compared = forms(options.sequences)
    speeds = speeds_by_turn(compared, turns=options.turns, steps=options.steps, warm_up=options.steps)
    padding = {name: padding_of(way.batches) for name, way in compared.items()} | padding_of_rows(options.sequences)
    ratios = {name: median_ratio(of_form, speeds["default"]) for name, of_form in speeds.items()}
    print(plain_table(["form", "of the default's speed", "padding"], rows_of(ratios, padding)))
    if options.json:
        figures = {"ratios": ratios, "padding": padding, "speeds_of_turns": speeds}
        atomic_json(options.json, {"command": command_line("benchmarks.training_forms"), **machine(), **figures})


def forms(sequences: Sequences) -> dict[str, Way]:
    """The default first."""
    interactions, splits = sequences.interactions, sequences.splits
    windows = sequence_windows(interactions.offsets[:-1], splits.train_end, max_items=MAX_ITEMS)
    whole, loss = HeldWindows(interactions.items, windows), LossConfig()
    by_length = list(whole.steps(batch_size=WINDOWS, seed=0, epoch=0))
    by_chance = in_batches(whole, np.random.default_rng(0).permutation(whole.num_windows), size=WINDOWS)
    default = our_step(sequences, loss)
    return {
        "default": Way(default, by_length),
        "bf16": Way(our_step(sequences, loss, is_bf16=True), by_length),
        "compiled": Way(our_step(sequences, loss, is_compiled=True), by_length),
        "not grouped by length": Way(default, by_chance),
    }


def padding_of_rows(sequences: Sequences) -> dict[str, float]:
    """Of the T5's batches."""
    return {f"{name}, one row per prefix": padding_of(batches) for name, batches in rows_by_prefix(sequences).items()}


def padding_of(batches: Sequence[StepWindows]) -> float:
    """The share of the places that hold no item, over all batches."""
    lengths = [batch.windows.lengths for batch in batches]
    places = sum(len(of_batch) * int(of_batch.max()) for of_batch in lengths)
    return 1 - sum(int(of_batch.sum()) for of_batch in lengths) / places


def rows_of(ratios: Mapping[str, float], padding: Mapping[str, float]) -> list[tuple[str, ...]]:
    """The table's."""
    return [(name, f"{ratios[name]:.2f}" if name in ratios else "", f"{part:.1%}") for name, part in padding.items()]


if __name__ == "__main__":
    main()

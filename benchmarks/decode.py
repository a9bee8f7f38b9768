"""Constrained decoding: users per second, against transformers' `generate`, our own beam without a trie, and filters.

    python -m benchmarks.decode --json FILE                     # catalogues of 20k, 1M and 10M items, two threads
    python -m benchmarks.decode --quick                         # does it work? small catalogues, few runs
    python -m benchmarks.decode --device cuda --json FILE       # GPU: CUDA graphs, the plain search, compiled ones
    python -m benchmarks.decode --device cuda --ways graphs eager --json FILE       # without a minute of compiling each

Untrained models of one depth and width: 4 + 4 layers of 128, histories of 20 items of four codes each. What is compared
takes turns, run by run, so that a busy moment of the machine hits all alike; figures are medians. On a GPU a time ends
when the rows are there, histories come from the CPU, and the main figures are those of the first of the ways. Compiled
searches come last, of 20k items; the JSON is written before, and after each.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import torch

from benchmarks.decoders import (
    dict_trie_callback,
    generate,
    made_t5,
    matmul_flops_per_second,
    moved,
    search_flops,
    tokens_of,
)
from benchmarks.machine import command_line, machine
from benchmarks.searches import HISTORY, Call, Catalogue, MakeFilters, Way, finished, latencies, made_model, medians
from genrec.atomic_files import atomic_json
from tokenizer.plain_tables import plain_table
from trie import AllowRows, Bitmap, Conjunction, DenyRows

BEAM, BATCH = 50, 64
MORE = 10
"""Times as many runs where a difference of one or two per cent counts."""
TURN = 5
"""Single histories come one after the other, as to a server: what another search left in the caches is not measured."""


class Plan(NamedTuple):
    """What is measured, and on what."""

    device: str
    sizes: Sequence[int]
    """Items of the catalogues called 20k, 1m and 10m."""
    ways: Sequence[Way]
    """The first, which needs no compiler, is that of all figures but the sweep's."""
    batches: Sequence[int]
    """Of the sweep."""
    runs: int
    compiles: bool = False
    """Whether a single history is also compared compiled; on a GPU the sweep does that."""

    @classmethod
    def of(cls, options: argparse.Namespace) -> "Plan":
        """As the command line says."""
        sizes = (2_000, 20_000, 50_000) if options.quick else (20_000, 1_000_000, 10_000_000)
        runs = 3 if options.quick else options.runs
        if options.device == "cpu":
            return cls("cpu", sizes, options.ways or ("eager",), (1, BATCH), runs, compiles=not options.quick)
        ways = options.ways or ("graphs", "eager", "compiled", "compiled graphs")
        return cls(options.device, sizes, ways, (1, BATCH, 256), runs)

    def made(self, place: int) -> Catalogue:
        """One of the catalogues."""
        return Catalogue.made(self.sizes[place], device=self.device, way=self.ways[0])


def main() -> None:
    """Measure, print tables, write the JSON."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    plan = Plan.of(options)
    about = {"command": command_line("benchmarks.decode"), **machine(), "history": HISTORY}
    report: dict[str, Any] = {}
    for figures in measured(plan):
        report = figures | {"device": device_name(plan.device), "about": about}
        if options.json:
            atomic_json(options.json, report)
    print(shown(report["medians_ms"]))
    print(plain_table(("figure", "value"), [(name, f"{value:.4g}") for name, value in report.items() if _is(value)]))


def measured(plan: Plan) -> Iterator[dict[str, Any]]:
    """All figures, under the names that stand in the JSON; then the same with each search that has to be compiled.

    Catalogues are made one after the other.
    """
    runs, small = plan.runs, plan.made(0)
    seconds = against_generate(small, runs=runs, compiled=plan.compiles)
    figures: dict[str, Any] = {
        f"generate_ratio_batch{batch}": seconds[f"generate, batch {batch}"] / seconds[f"ours, batch {batch}"]
        for batch in (BATCH, 1)
    }
    figures["generate_ratio_batch64_token_encoder"] = (
        seconds["generate, batch 64"] / seconds["ours, token encoder, batch 64"]
    )
    if plan.compiles:
        figures["generate_ratio_batch1_compiled"] = seconds["generate, batch 1"] / seconds["ours, compiled, batch 1"]
    rate = matmul_flops_per_second(device=plan.device, size=2048 if plan.device == "cpu" else 8192)
    floor = BATCH * search_flops(read_length=HISTORY, beam_size=BEAM) / rate
    figures |= {"floor_ratio_batch64": seconds["ours, batch 64"] / floor, "matmul_gflops": rate / 1e9}
    figures["constraint_share_20k"], found = constraint_share(small, runs=MORE * runs)
    seconds |= {f"20k: {name}": value for name, value in found.items()}

    middle = plan.made(1)
    figures["constraint_share_1m"], found = constraint_share(middle, runs=MORE * runs)
    seconds |= {f"1m: {name}": value for name, value in found.items()}
    shares, found, empty = filter_shares(middle, runs=MORE * runs)
    figures |= {"filter_share_1m": max(shares.values()), "empty_lists_1m": empty}
    seconds |= {f"1m: {name}": value for name, value in found.items()}
    of_middle = {} if plan.device == "cpu" else sweep("1m", middle, plan)
    del middle

    large = plan.made(2)
    found = medians({"20k": small.search(BATCH, BEAM), "10m": large.search(BATCH, BEAM)}, runs=MORE * runs)
    figures["growth_20k_to_10m"] = found["10m"] / found["20k"] - 1
    seconds |= {f"growth, {name}": value for name, value in found.items()}
    figures |= {
        "filter_shares_1m": shares,
        "medians_ms": {name: 1e3 * value for name, value in seconds.items()},
        "sweep": sweep("20k", small, plan) | of_middle | sweep("10m", large, plan),
        "gflop_per_user": search_flops(read_length=HISTORY, beam_size=BEAM) / 1e9,
    }
    yield figures
    for way in (way for way in plan.ways if "compiled" in way):
        for batch in plan.batches:
            call = small._replace(way=way).search(batch, BEAM)
            name = f"20k, beam {BEAM}, batch {batch}, {way}"
            figures["sweep"][name] = latencies(call, batch=batch, runs=runs)
            yield figures


def sweep(name: str, catalogue: Catalogue, plan: Plan) -> dict[str, dict[str, float]]:
    """Latencies by beam, batch and, where there are several, the ways that need no compiler."""
    found = {}
    for way in (way for way in plan.ways if "compiled" not in way):
        for beam in (10, BEAM, 500):
            for batch in plan.batches:
                call = catalogue._replace(way=way).search(batch, beam)
                suffix = f", {way}" if len(plan.ways) > 1 else ""
                found[f"{name}, beam {beam}, batch {batch}{suffix}"] = latencies(call, batch=batch, runs=plan.runs)
    return found


def against_generate(catalogue: Catalogue, *, runs: int, compiled: bool) -> dict[str, float]:
    """Median seconds of a whole batch, ours by either encoder and transformers' with the trie callback.

    `compiled`: also of a single history by `torch.compile`, which wants a minute first.
    """
    device = catalogue.trie.device
    by_tokens = catalogue._replace(model=made_model(catalogue.codes, device=device, encoder="bidirectional_tokens"))
    t5 = made_t5()
    moved(t5, str(device))
    tokens = tokens_of(catalogue.codes)
    allowed = dict_trie_callback(map(tuple, tokens.tolist()))
    result: dict[str, float] = {}
    for batch in (BATCH, 1):
        read = torch.from_numpy(tokens[catalogue.histories(batch).numpy()].reshape(batch, -1)).to(device)
        calls: dict[str, Call] = {
            f"ours, batch {batch}": catalogue.search(batch, BEAM),
            f"ours, token encoder, batch {batch}": by_tokens.search(batch, BEAM),
            f"generate, batch {batch}": finished(lambda read=read: generate(t5, read, allowed, beam_size=BEAM), device),
        }
        if compiled and batch == 1:
            calls["ours, compiled, batch 1"] = catalogue._replace(way="compiled").search(1, BEAM)
        result |= medians(calls, runs=runs, times=TURN if batch == 1 else 1)
    return result


def constraint_share(catalogue: Catalogue, *, runs: int) -> tuple[float, dict[str, float]]:
    """Time with the trie less time without, over time without, at batch 64; and both medians, of batch 1 too."""
    found: dict[str, float] = {}
    for batch in (BATCH, 1):
        found |= medians(
            {
                f"with the trie, batch {batch}": catalogue.search(batch, BEAM),
                f"without, batch {batch}": catalogue.unconstrained(batch, BEAM),
            },
            runs=runs,
            times=TURN if batch == 1 else 1,
        )
    return found["with the trie, batch 64"] / found["without, batch 64"] - 1, found


def filter_shares(catalogue: Catalogue, *, runs: int) -> tuple[dict[str, float], dict[str, float], float]:
    """Time with each filter less time without, over time without; both medians; and how many lists were empty.

    Lists are turned into filters within the time.
    """
    random = np.random.default_rng(0)
    num_items, trie = len(catalogue.codes), catalogue.trie
    history = [rows.tolist() for rows in catalogue.histories(BATCH).numpy()]
    in_stock = random.random(num_items) < 0.5
    stock = Bitmap.from_mask(trie, in_stock)  # made once for all requests
    lists = [random.choice(num_items, num_items // 1000, replace=False) for _ in range(BATCH)]
    makers: dict[str, MakeFilters] = {
        "history": lambda users: DenyRows.from_rows(trie, history[users]),
        "stock of one half": lambda _: stock,
        "0.1 % allowed to each user": lambda users: AllowRows.from_rows(trie, lists[users]),
        "all three": lambda users: Conjunction.of(
            DenyRows.from_rows(trie, history[users]), stock, AllowRows.from_rows(trie, lists[users])
        ),
    }
    calls = {name: catalogue.search(BATCH, BEAM, maker) for name, maker in makers.items()}
    found = medians({"no filter": catalogue.search(BATCH, BEAM), **calls}, runs=runs)
    empty = sum(float((call() < 0).all(1).sum()) for call in calls.values())
    return {name: found[name] / found["no filter"] - 1 for name in makers}, found, empty


def device_name(device: str) -> str:
    """The GPU's, or "cpu"."""
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device


def shown(milliseconds: Mapping[str, float]) -> str:
    """The medians as a table."""
    return plain_table(("call", "ms"), [(name, f"{value:.1f}") for name, value in milliseconds.items()])


def _is(value: Any) -> bool:
    return isinstance(value, float)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description="Constrained decoding.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ways", nargs="+", choices=get_args(Way), help="the first for the main figures")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

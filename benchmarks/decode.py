"""Constrained decoding: users per second, against transformers' `generate`, our own beam without a trie, and filters.

    python -m benchmarks.decode --json FILE                     # catalogues of 20k, 1M and 10M items, two threads
    python -m benchmarks.decode --quick                         # does it work? small catalogues, few runs
    python -m benchmarks.decode --device cuda --json FILE       # GPU: eager, compiled, CUDA graphs

Untrained models of one depth and width: 4 + 4 layers of 128, histories of 20 items of four codes each. What is compared
takes turns, run by run, so that a busy moment of the machine hits all alike; figures are medians.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor

from benchmarks.catalogues import skewed_codes
from benchmarks.decoders import (
    dict_trie_callback,
    generate,
    made_generator,
    made_t5,
    matmul_flops_per_second,
    search_flops,
    tokens_of,
    unconstrained_search,
)
from benchmarks.machine import command_line, machine
from genrec.atomic_files import atomic_json
from genrec.generator.beam_search import beam_search
from genrec.generator.groups import in_groups
from genrec.generator.model import Generator
from genrec.generator.search_model import SearchModel
from tokenizer.plain_tables import plain_table
from trie import AllowRows, Bitmap, Conjunction, DenyRows, Filter, PrefixTrie, TorchTrie

HISTORY = 20
BEAM, BATCH = 50, 64
Call = Callable[[], Any]


class Catalogue(NamedTuple):
    """Items, the generator that knows them, and their trie."""

    codes: Int[ndarray, "items levels"]
    generator: Generator
    model: SearchModel
    trie: TorchTrie

    @classmethod
    def made(cls, num_items: int) -> "Catalogue":
        """An untrained generator over a made catalogue."""
        codes = skewed_codes(num_items)
        trie = PrefixTrie.from_codes(codes, level_sizes=(256,) * 4).to("cpu")
        generator = made_generator(codes)
        return cls(codes, generator, SearchModel(generator), trie)

    def histories(self, batch_size: int) -> Tensor:
        """Rows of different items, the same for every caller."""
        rows = np.random.default_rng(batch_size).integers(0, len(self.codes), (batch_size, HISTORY))
        return torch.from_numpy(rows)

    def search(self, batch_size: int, beam_size: int, filters: Callable[[slice], Filter] | None = None) -> Call:
        """Reading the histories and the whole constrained search; `filters` of some users are made anew each time."""
        history = self.histories(batch_size)

        @torch.inference_mode()
        def group(users: slice) -> Tensor:
            read = self.model.read_history(history[users])
            chosen = None if filters is None else filters(users)
            size = len(history[users])
            return beam_search(self.model, self.trie, read, batch_size=size, beam_size=beam_size, filters=chosen).row

        return partial(self._whole, group, batch_size, beam_size)

    def unconstrained(self, batch_size: int, beam_size: int) -> Call:
        """The same without a trie: what comes out are codes that no item need have."""
        history = self.histories(batch_size)

        @torch.inference_mode()
        def group(users: slice) -> Tensor:
            read = self.model.read_history(history[users])
            return unconstrained_search(self.model, read, num_levels=4, beam_size=beam_size)

        return partial(self._whole, group, batch_size, beam_size)

    def _whole(self, group: Callable[[slice], Tensor], batch_size: int, beam_size: int) -> Tensor:
        """The groups' answers, one below the other."""
        return torch.cat(in_groups(group, batch_size, beam_size=beam_size, device=self.trie.device))


def main() -> None:
    """Measure, print tables, write the JSON."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    about = {"command": command_line("benchmarks.decode"), **machine(), "history": HISTORY}
    sizes = (2_000, 20_000, 50_000) if options.quick else (20_000, 1_000_000, 10_000_000)
    runs = 3 if options.quick else options.runs
    report = measure(sizes, runs=runs)
    report["about"] = about
    print(shown(report["medians_ms"]))
    print(plain_table(("figure", "value"), [(name, f"{value:.4g}") for name, value in report.items() if _is(value)]))
    if options.json:
        atomic_json(options.json, report)


def measure(sizes: tuple[int, int, int], *, runs: int) -> dict[str, Any]:
    """All figures, under the names that stand in the JSON; catalogues are made one after the other."""
    small = Catalogue.made(sizes[0])
    seconds = against_generate(small, runs=runs)
    figures: dict[str, Any] = {
        f"generate_ratio_batch{batch}": seconds[f"generate, batch {batch}"] / seconds[f"ours, batch {batch}"]
        for batch in (BATCH, 1)
    }
    figures["generate_ratio_batch64_token_encoder"] = (
        seconds["generate, batch 64"] / seconds["ours, token encoder, batch 64"]
    )
    rate = matmul_flops_per_second()
    floor = BATCH * search_flops(read_length=HISTORY, beam_size=BEAM) / rate
    figures |= {"floor_ratio_batch64": seconds["ours, batch 64"] / floor, "matmul_gflops": rate / 1e9}
    figures["constraint_share_20k"], found = constraint_share(small, runs=4 * runs)
    seconds |= {f"20k: {name}": value for name, value in found.items()}

    middle = Catalogue.made(sizes[1])
    figures["constraint_share_1m"], found = constraint_share(middle, runs=4 * runs)
    seconds |= {f"1m: {name}": value for name, value in found.items()}
    shares, found, empty = filter_shares(middle, runs=4 * runs)
    figures |= {"filter_share_1m": max(shares.values()), "empty_lists_1m": empty}
    seconds |= {f"1m: {name}": value for name, value in found.items()}
    del middle

    large = Catalogue.made(sizes[2])
    found = medians({"20k": small.search(BATCH, BEAM), "10m": large.search(BATCH, BEAM)}, runs=4 * runs)
    figures["growth_20k_to_10m"] = found["10m"] / found["20k"] - 1
    seconds |= {f"growth, {name}": value for name, value in found.items()}
    sweep = {
        f"{name}, beam {beam}, batch {batch}": latencies(catalogue.search(batch, beam), batch=batch, runs=runs)
        for name, catalogue in (("20k", small), ("10m", large))
        for beam in (10, BEAM, 500)
        for batch in (1, BATCH)
    }
    return {
        **figures,
        "filter_shares_1m": shares,
        "medians_ms": {name: 1e3 * value for name, value in seconds.items()},
        "sweep": sweep,
        "gflop_per_user": search_flops(read_length=HISTORY, beam_size=BEAM) / 1e9,
    }


def against_generate(catalogue: Catalogue, *, runs: int) -> dict[str, float]:
    """Median seconds of a whole batch, ours by either encoder and transformers' with the trie callback."""
    by_tokens = catalogue._replace(model=SearchModel(made_generator(catalogue.codes, encoder="bidirectional_tokens")))
    t5 = made_t5()
    tokens = tokens_of(catalogue.codes)
    allowed = dict_trie_callback(map(tuple, tokens.tolist()))
    result: dict[str, float] = {}
    for batch in (BATCH, 1):
        read = torch.from_numpy(tokens[catalogue.histories(batch).numpy()].reshape(batch, -1))
        calls: dict[str, Call] = {
            f"ours, batch {batch}": catalogue.search(batch, BEAM),
            f"ours, token encoder, batch {batch}": by_tokens.search(batch, BEAM),
            f"generate, batch {batch}": lambda read=read: generate(t5, read, allowed, beam_size=BEAM),
        }
        result |= medians(calls, runs=runs)
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
    makers: dict[str, Callable[[slice], Filter]] = {
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


def medians(calls: Mapping[str, Call], *, runs: int) -> dict[str, float]:
    """Median seconds of each call; they take turns, after one run of each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(runs + 1):
        for name, call in calls.items():
            began = perf_counter()
            call()
            if run:
                seconds[name].append(perf_counter() - began)
    return {name: float(np.median(taken)) for name, taken in seconds.items()}


def latencies(call: Call, *, batch: int, runs: int) -> dict[str, float]:
    """Milliseconds of a call at the median and the 99th percentile, and users per second."""
    call()
    taken = []
    for _ in range(max(runs, 40 if batch == 1 else runs)):
        began = perf_counter()
        call()
        taken.append(perf_counter() - began)
    median, p99 = np.percentile(taken, [50, 99])
    return {"p50_ms": 1e3 * float(median), "p99_ms": 1e3 * float(p99), "users_per_second": batch / float(median)}


def shown(milliseconds: Mapping[str, float]) -> str:
    """The medians as a table."""
    return plain_table(("call", "ms"), [(name, f"{value:.1f}") for name, value in milliseconds.items()])


def _is(value: Any) -> bool:
    return isinstance(value, float)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description="Constrained decoding.")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

"""Searches of a made catalogue on one device, each run in one of several ways, and how long they take."""

from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.catalogues import CODES_PER_LEVEL, skewed_codes
from benchmarks.decoders import made_generator, moved, unconstrained_search
from genrec.generator.beam_search import beam_search
from genrec.generator.captured_search import Buckets, CapturedSearch, Inputs, search
from genrec.generator.config import EncoderKind
from genrec.generator.groups import in_groups
from genrec.generator.replay import Recorder
from genrec.generator.search_model import SearchModel
from trie import Filter, PrefixTrie, TorchTrie

HISTORY = 20
Call = Callable[[], Any]
MakeFilters = Callable[[slice], Filter]
"""Those of some of the users."""
Run = Callable[[Tensor, Filter | None], Tensor]
"""From histories on the CPU to rows, or to codes."""
Way = Literal["eager", "graphs", "compiled", "compiled graphs"]
"""As it is; replayed from a CUDA graph (on the CPU: run again in its shapes); by `torch.compile`; by both."""


class Catalogue(NamedTuple):
    """Items, a model of them, their trie, and how they are searched."""

    codes: Int[ndarray, "items levels"]
    model: SearchModel
    trie: TorchTrie
    way: Way = "eager"

    @classmethod
    def made(cls, num_items: int, *, device: str = "cpu", way: Way = "eager") -> "Catalogue":
        """An untrained model over a made catalogue."""
        codes = skewed_codes(num_items)
        trie = PrefixTrie.from_codes(codes, level_sizes=(CODES_PER_LEVEL,) * 4).to(device)
        return cls(codes, made_model(codes, device=trie.device), trie, way)

    def histories(self, batch_size: int) -> Tensor:
        """Rows of different items, the same for every caller."""
        rows = np.random.default_rng(batch_size).integers(0, len(self.codes), (batch_size, HISTORY))
        return torch.from_numpy(rows)

    def search(self, batch_size: int, beam_size: int, filters: MakeFilters | None = None) -> Call:
        """Reading the histories and the whole constrained search; `filters` of some users are made anew each time.

        What is compiled without a graph takes no filters.
        """
        if self.way == "eager":
            run = partial(_searched, self.model, self.trie, beam_size)
        elif self.way == "compiled":
            compiled = torch.compile(search, fullgraph=True, dynamic=False)
            run = partial(_searched_compiled, compiled, self.model, self.trie, beam_size)
        else:
            buckets, compiled = Buckets.up_to(batch_size, lengths=(HISTORY,)), self.way == "compiled graphs"
            run = partial(
                _replayed,
                CapturedSearch(self.model, self.trie, beam_size=beam_size, buckets=buckets, compiled=compiled),
            )
        return self._whole(run, batch_size, beam_size, filters)

    def unconstrained(self, batch_size: int, beam_size: int) -> Call:
        """The same without a trie, as it is or replayed: what comes out are codes that no item need have."""
        run = partial(_unconstrained, self.model, self.trie.device, beam_size)
        if self.way != "graphs":
            return self._whole(run, batch_size, beam_size)
        recorder, own = Recorder(self.trie.device), self.histories(batch_size).to(self.trie.device)
        with torch.inference_mode():
            recording = recorder.record(lambda: [run(own, None)], [own])
        call = torch.inference_mode()(lambda: recorder.replay(recording, [self.histories(batch_size)])[0])
        return finished(call, self.trie.device)

    def _whole(self, run: Run, batch_size: int, beam_size: int, filters: MakeFilters | None = None) -> Call:
        """What is found for all users, in groups on the CPU."""
        history, device = self.histories(batch_size), self.trie.device

        @torch.inference_mode()
        def group(users: slice) -> Tensor:
            return run(history[users], None if filters is None else filters(users))

        return finished(lambda: torch.cat(in_groups(group, batch_size, beam_size=beam_size, device=device)), device)


def made_model(
    codes: Int[ndarray, "items levels"], *, device: torch.device, encoder: EncoderKind = "causal_items"
) -> SearchModel:
    """An untrained one for these items."""
    generator = made_generator(codes, encoder=encoder)
    moved(generator, str(device))
    return SearchModel(generator)


def finished(call: Call, device: torch.device) -> Call:
    """The call, which ends when a GPU has done all that it was given."""
    if device.type != "cuda":
        return call
    return lambda: (call(), torch.cuda.synchronize(device))[0]


def medians(calls: Mapping[str, Call], *, runs: int, times: int = 1) -> dict[str, float]:
    """Median seconds of each call; they take turns of so many `times`, after one turn of each that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for run in range(runs + 1):
        for name, call in calls.items():
            began = perf_counter()
            for _ in range(times):
                call()
            if run:
                seconds[name].append((perf_counter() - began) / times)
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


def _searched(model: SearchModel, trie: TorchTrie, beam_size: int, history: Tensor, filters: Filter | None) -> Tensor:
    read = model.read_history(history.to(trie.device))
    row = beam_search(model, trie, read, batch_size=len(history), beam_size=beam_size, filters=filters).row
    return pad(row, (0, beam_size - row.shape[1]), value=-1)  # groups may differ in how many rows their users have left


def _searched_compiled(
    compiled: Callable[..., Any], model: SearchModel, trie: TorchTrie, beam_size: int, history: Tensor, _: Filter | None
) -> Tensor:
    return compiled(model, trie, beam_size, "joint", Inputs(history.to(trie.device), None)).row


def _replayed(captured: CapturedSearch, history: Tensor, filters: Filter | None) -> Tensor:
    return captured(history, filters).row


def _unconstrained(
    model: SearchModel, device: torch.device, beam_size: int, history: Tensor, _: Filter | None
) -> Tensor:
    read = model.read_history(history.to(device))
    return unconstrained_search(model, read, num_levels=4, beam_size=beam_size)

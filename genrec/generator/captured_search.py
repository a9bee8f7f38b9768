"""The beam search in shapes that never change, so that a GPU can replay it from a CUDA graph.

A search starts hundreds of small kernels, and to start them takes longer than their work. A graph starts them all at
once, but on the shapes and the memory with which it was captured. So a batch is padded to the nearest of a few sizes,
copied to where the graph of that size reads, and the lists are copied from where it writes. Elsewhere the search itself
is run again in the place of a graph (`genrec.generator.replay`), all else being the same.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import unwrap
from threading import Lock
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from genrec.data.batches import PADDING
from genrec.generator.beam_search import CodeModel, beam_search
from genrec.generator.replay import Recorder, Recording
from trie import AllowRows, Bitmap, Conjunction, DenyRows, Filter, Leaves, TorchTrie
from trie.scores import Score

ROOM_GROWS = 8
"""Lists that do not fit take so many times the room."""
MOST_SHAPES = 1 << 20


@dataclass(frozen=True)
class Buckets:
    """The sizes to which batches are padded, ascending. Each combination that is met costs a capture and its memory."""

    batch_sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
    lengths: tuple[int, ...] = (50,)
    """Items of a history."""
    rows_per_user: int = 64
    """For so many the deny lists of a batch have room at first, and the allow lists, on the mean of its users."""

    def __post_init__(self) -> None:
        for name in ("batch_sizes", "lengths"):
            sizes = getattr(self, name)
            if not sizes or sizes[0] < 1 or list(sizes) != sorted(set(sizes)):
                raise ValueError(f"{name} must be ascending numbers from 1 on, got {sizes}")
        if self.rows_per_user < 1:
            raise ValueError(f"rows_per_user must be at least 1, got {self.rows_per_user}")

    @classmethod
    def up_to(cls, batch_size: int, *, lengths: tuple[int, ...]) -> "Buckets":
        """Batches of 1, 2, 4, ... and `batch_size` histories."""
        powers = {1 << power for power in range(batch_size.bit_length())}
        return cls(tuple(sorted({*powers, batch_size})), lengths)

    def hold(self, history: Int[Tensor, "batch items"]) -> bool:
        """Whether the largest sizes take such a batch."""
        return len(history) <= self.batch_sizes[-1] and history.shape[1] <= self.lengths[-1]

    def shape(self, history: Int[Tensor, "batch items"], filters: Conjunction) -> "Shape":
        """The smallest sizes that take a batch; ValueError where none do."""
        if not self.hold(history):
            raise ValueError(
                f"expected at most {self.batch_sizes[-1]} histories of at most {self.lengths[-1]} items, got "
                f"{tuple(history.shape)}; search fewer at once, by their newest items, or choose larger buckets"
            )
        batch_size = self.batch_sizes[bisect_left(self.batch_sizes, len(history))]
        return Shape(
            batch_size,
            self.lengths[bisect_left(self.lengths, history.shape[1])],
            denied=self._room(filters.deny, batch_size),
            allowed=self._room(filters.allow, batch_size),
            has_bitmap=filters.bitmap is not None,
        )

    def _room(self, sets: DenyRows | AllowRows | None, batch_size: int) -> int:
        room = self.rows_per_user * batch_size
        while sets is not None and room < len(sets.keys):
            room *= ROOM_GROWS
        return 0 if sets is None else room


class Shape(NamedTuple):
    """What a recording is for."""

    batch_size: int
    length: int
    denied: int
    """Entries for the deny lists of all users; 0: there are no such lists."""
    allowed: int
    has_bitmap: bool


class Inputs(NamedTuple):
    """What differs from one search to the next."""

    history: Int[Tensor, "batch items"]
    filters: Conjunction | None

    @classmethod
    def padded(cls, history: Int[Tensor, "batch items"], filters: Conjunction, shape: Shape) -> "Inputs":
        """Copies in that shape; users that are added have one item in their history, and no lists."""
        wide = history.new_full((shape.batch_size, shape.length), PADDING)
        wide[:, 0] = 0
        wide[: len(history), : history.shape[1]] = history
        bitmap, deny, allow = filters.bitmap, filters.deny, filters.allow
        if bitmap is not None:
            bitmap = Bitmap(bitmap.words.clone(), bitmap.before.clone(), bitmap.num_positions)
        if deny is not None:
            deny = deny.padded(batch_size=shape.batch_size, num_entries=shape.denied)
        if allow is not None:
            allow = allow.padded(batch_size=shape.batch_size, num_entries=shape.allowed)
        is_free = bitmap is None and deny is None and allow is None
        return cls(wide, None if is_free else Conjunction(bitmap, deny, allow))

    def tensors(self) -> list[Tensor]:
        """All of them, in an order that the shape decides."""
        if self.filters is None:
            return [self.history]
        bitmap, deny, allow = self.filters.bitmap, self.filters.deny, self.filters.allow
        return [
            self.history,
            *([] if bitmap is None else [bitmap.words, bitmap.before]),
            *([] if deny is None else [deny.keys]),
            *([] if allow is None else [allow.keys, allow.free]),
        ]


class CapturedSearch:
    """A beam search over one trie by one model: what `beam_search` finds, up to float32 rounding.

    The first batch of each shape is slow, since it is captured. Threads take turns. The weights, the trie and its stock
    are those of the moment: make a new object for a new version. It waits for nothing, so neither does the caller until
    he looks at the lists. On a GPU the histories may still lie on the CPU; filters lie where the trie does.

    `compiled`: the search is compiled by `torch.compile` before it is captured; that takes a minute for each shape.
    """

    def __init__(
        self,
        model: CodeModel,
        trie: TorchTrie,
        *,
        beam_size: int,
        num_leaves: int | None = None,
        score: Score = "joint",
        buckets: Buckets | None = None,
        compiled: bool = False,
    ) -> None:
        self.buckets = buckets or Buckets()
        run = partial(_for_any_shape, torch.compile(search, fullgraph=True, dynamic=False)) if compiled else search
        self._device = trie.device
        self._search = partial(run, model, trie.with_static_shapes(), beam_size, num_leaves, score)
        self._recorder = Recorder(trie.device)
        self._recordings: dict[Shape, Recording] = {}
        self._lock = Lock()

    @torch.inference_mode()
    def __call__(self, history: Int[Tensor, "batch items"], filters: Filter | None = None) -> Leaves:
        """The lists after these histories (rows oldest first, -1 at the end as padding, at least one item each).

        ValueError where the batch is larger than the largest bucket, or the filters are for another one.
        """
        parts = filters if isinstance(filters, Conjunction) else Conjunction.of(*([] if filters is None else [filters]))
        _check_batch(parts, len(history))
        shape = self.buckets.shape(history, parts)
        inputs = Inputs.padded(history, parts, shape).tensors()
        with self._lock:
            if shape not in self._recordings:
                with self._recorder.turn():
                    own = Inputs.padded(history.to(self._device), parts, shape)
                self._recordings[shape] = self._recorder.record(partial(self._search, own), own.tensors())
            found = self._recorder.replay(self._recordings[shape], inputs)
        return Leaves(*(part[: len(history)] for part in found))


def search(
    model: CodeModel, trie: TorchTrie, beam_size: int, num_leaves: int | None, score: Score, inputs: Inputs
) -> Leaves:
    """Reading the histories and the whole beam search."""
    read = model.read_history(inputs.history)
    return _loop(
        model,
        trie,
        read,
        batch_size=len(inputs.history),
        beam_size=beam_size,
        filters=inputs.filters,
        score=score,
        num_leaves=num_leaves,
    )


def _for_any_shape(compiled_search: Callable[..., Leaves], *arguments: object) -> Leaves:
    """Its result, where it is compiled anew for any number of shapes: eight are what compilers expect."""
    with torch._dynamo.config.patch(recompile_limit=MOST_SHAPES, accumulated_recompile_limit=MOST_SHAPES):
        return compiled_search(*arguments)


def _check_batch(filters: Conjunction, batch_size: int) -> None:
    for sets in (filters.deny, filters.allow):
        if sets is not None and sets.batch_size != batch_size:
            raise ValueError(
                f"the filter is for a batch of {sets.batch_size} users, but there are {batch_size} histories"
            )


_loop = unwrap(beam_search)  # the compiler does not see through its decorator

"""Why an item scores what it does: what the generator says of each of its codes, and what it would rather have said."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64
from torch import Tensor

from genrec.generator.exhaustive import children_in_stock, code_log_probs, levels_above
from genrec.recommendation.search import Search
from trie import TorchTrie

_NAME_WIDTH = 30


class Alternative(NamedTuple):
    """Another code that the catalogue has at the same place."""

    code: int
    name: str | None
    """What sets the titles below it apart (code_names.json of the run); None where it has no name."""
    log_prob: float


@dataclasses.dataclass(frozen=True)
class CodeChoice:
    """One code of an item's semantic ID. All log-probabilities are natural and given the codes before."""

    code: int
    name: str | None
    log_prob: float
    rank: int
    """From 1, among the codes that may follow in the catalogue."""
    num_children: int
    """How many these are."""
    alternatives: tuple[Alternative, ...]
    """The best of the others, best first."""


@dataclasses.dataclass(frozen=True)
class Explanation:
    """What an item scores after a history: `score` is the sum of `codes`, `share_log_prob` and -log(`num_sharers`)."""

    item_id: str
    title: str
    score: float
    """As `Recommender.recommend(rank="codes")` reports it, and `Recommender.score_items`."""
    codes: tuple[CodeChoice, ...]
    num_sharers: int
    """Items with the same semantic ID, itself included: they share its probability."""
    is_added: bool
    """Whether it came after the training."""
    share_log_prob: float
    """Of the known, or the added, items together; 0 where there are no added ones."""
    item_log_prob: float
    """By the item head alone, which reads no codes."""
    place: int | None
    """From 1, in the list of `k` items that the run recommends after this history; None: not on it."""
    k: int

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        codes = [dataclasses.asdict(choice) for choice in self.codes]
        for code in codes:
            code["alternatives"] = [alternative._asdict() for alternative in code["alternatives"]]
        return {**{field.name: getattr(self, field.name) for field in dataclasses.fields(self)}, "codes": codes}

    def table(self) -> str:
        """A line for each code and for the sum."""
        lines = [f"{self.item_id}  {self.title}"]
        lines += [f"{'code':>5} {'log-prob':>9}  {'rank':<11}{'name':<{_NAME_WIDTH}}  instead"]
        for choice in self.codes:
            instead = ", ".join(f"{other.code} {other.log_prob:.3f}" for other in choice.alternatives)
            rank = f"{choice.rank} of {choice.num_children}"
            name = (choice.name or "")[:_NAME_WIDTH]
            lines.append(
                f"{choice.code:>5} {choice.log_prob:>9.3f}  {rank:<11}{name:<{_NAME_WIDTH}}  {instead}".rstrip()
            )
        if self.num_sharers > 1:
            lines.append(f"{'':>5} {-math.log(self.num_sharers):>9.3f}  shared with {self.num_sharers - 1} more items")
        if self.share_log_prob:
            which = "added" if self.is_added else "known"
            lines.append(f"{'':>5} {self.share_log_prob:>9.3f}  that it is one of the {which} items")
        lines.append(f"{'':>5} {self.score:>9.3f}  by its codes")
        lines.append(f"{'':>5} {self.item_log_prob:>9.3f}  by the item head")
        where = f"number {self.place}" if self.place else "not"
        return "\n".join([*lines, f"{where} among the {self.k} that are recommended"])


def code_choices(
    search: Search, trie: TorchTrie, row: int, *, names: Mapping[str, str], num_alternatives: int
) -> tuple[CodeChoice, ...]:
    """What the generator says of each code of a row in stock, after the one history that it has read."""
    leaf = leaf_of(trie, row)
    node = leaf.new_zeros(1)
    logits, written = search.model.next_code_logits(search.read, None)
    prefix: list[int] = []
    choices = []
    for depth, level in enumerate(levels_above(trie, leaf)):
        parent, children = children_in_stock(trie, depth, node)
        log_probs = code_log_probs(trie, depth, node, logits, parent=parent, code=children, score=search.score)[0]
        choices.append(_choice(log_probs, children, int(level.code), prefix, names, num_alternatives))
        prefix.append(int(level.code))
        if depth < trie.trie.length - 1:
            logits, written = search.model.next_code_logits(
                search.read, written, codes=level.code[None], parents=level.parent[None]
            )
        node = level.node
    return tuple(choices)


def leaf_of(trie: TorchTrie, row: int) -> Int64[Tensor, " 1"]:
    """The leaf that holds a row."""
    return trie.node_above(trie.trie.length, trie.positions(np.array([row])))


def _choice(
    log_probs: Float32[Tensor, " children"],
    children: Int64[Tensor, " children"],
    code: int,
    prefix: list[int],
    names: Mapping[str, str],
    num_alternatives: int,
) -> CodeChoice:
    order = log_probs.argsort(descending=True, stable=True)
    described = [
        Alternative(child, names.get(".".join(map(str, [*prefix, child]))), log_prob)
        for child, log_prob in zip(children[order].tolist(), log_probs[order].tolist(), strict=True)
    ]
    own = next(child for child in described if child.code == code)
    better = sum(child.log_prob > own.log_prob for child in described)
    others = tuple(child for child in described if child.code != code)[:num_alternatives]
    return CodeChoice(*own, better + 1, len(described), others)

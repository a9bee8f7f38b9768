"""What may come next: a set of integer sequences as a flat-array prefix trie, and beam steps that stay inside it.

Knows no items and no models. `PrefixTrie` needs numpy alone; torch and transformers are imported when a name that
needs them is first asked for. The beam step is three functions in `trie.step`: `start`, `step` and `items`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from trie.files import TrieFileError
from trie.prefix_trie import PrefixTrie

if TYPE_CHECKING:
    from trie.bitmap import Bitmap
    from trie.filters import Conjunction, Filter
    from trie.generate import TrieBeamSearch
    from trie.report import TrieReport
    from trie.row_sets import AllowRows, DenyRows
    from trie.shared_attention import share_cross_attention
    from trie.step import Beams, Leaves
    from trie.torch_trie import TorchTrie
    from trie.transformers import TrieLogitsProcessor
    from trie.trie_version import TrieVersion
    from trie.versions import Insertion, VersionedTrie

__all__ = [
    "AllowRows",
    "Beams",
    "Bitmap",
    "Conjunction",
    "DenyRows",
    "Filter",
    "Insertion",
    "Leaves",
    "PrefixTrie",
    "TorchTrie",
    "TrieBeamSearch",
    "TrieFileError",
    "TrieLogitsProcessor",
    "TrieReport",
    "TrieVersion",
    "VersionedTrie",
    "share_cross_attention",
]

_LATE = {
    "trie.bitmap": {"Bitmap"},
    "trie.filters": {"Conjunction", "Filter"},
    "trie.generate": {"TrieBeamSearch"},
    "trie.report": {"TrieReport"},
    "trie.row_sets": {"AllowRows", "DenyRows"},
    "trie.shared_attention": {"share_cross_attention"},
    "trie.step": {"Beams", "Leaves"},
    "trie.torch_trie": {"TorchTrie"},
    "trie.transformers": {"TrieLogitsProcessor"},
    "trie.trie_version": {"TrieVersion"},
    "trie.versions": {"Insertion", "VersionedTrie"},
}


def __getattr__(name: str) -> object:
    """The names that are not needed to build a trie; most of them need torch or transformers."""
    for module, names in _LATE.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'trie' has no attribute {name!r}")

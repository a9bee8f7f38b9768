"""Models that the generator is measured against, printed beside it in every result.

`COUNTING` names those that only count: they are fitted in seconds, need no device and no embeddings. Each is built
with its own config (or none, for the documented defaults), fitted by `fit(interactions, splits)` on the training parts
alone, and asked by `scores(histories)`.
"""

from genrec.baselines.item_knn import ItemKNN, ItemKNNConfig
from genrec.baselines.popularity import Popularity
from genrec.baselines.transitions import Transitions, TransitionsConfig

COUNTING: dict[str, type[Popularity] | type[Transitions] | type[ItemKNN]] = {
    "popularity": Popularity,
    "transitions": Transitions,
    "item_knn": ItemKNN,
}

__all__ = ["COUNTING", "ItemKNN", "ItemKNNConfig", "Popularity", "Transitions", "TransitionsConfig"]

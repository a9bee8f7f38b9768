"""The embedded world as a source."""

import numpy as np

from genrec.data.catalogue import text_array
from genrec.data.sources.raw import RawData, RawInteractions, RawItems
from genrec.data.world import WorldConfig, make_world


def read_world(config: WorldConfig, *, seed: int) -> RawData:
    """The interactions and items of that seed's world."""
    world = make_world(config, seed)
    table = world.interactions_table
    user_ids, users = np.unique(table["user_id"], return_inverse=True)
    item_ids, items = np.unique(table["item_id"], return_inverse=True)
    fields = dict(world.items_table)
    return RawData(
        RawInteractions(text_array(user_ids), text_array(item_ids), users, items, table["time"].astype(np.int64)),
        RawItems(list(fields.pop("item_id")), fields),
    )

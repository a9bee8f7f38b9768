"""Raw data -> what the other stages read: catalogue, interactions in order, splits, and what was dropped and why."""

import logging
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, Int64
from numpy import ndarray

from genrec.data.catalogue import Catalogue, row_order, text_array
from genrec.data.interactions import Interactions
from genrec.data.prepared import Prepared, read_prepared, write_prepared
from genrec.data.sources import DataConfig, RawInteractions, RawItems, read_source
from genrec.data.splits import Splits, global_time, leave_one_out
from genrec.errors import DataError

__all__ = ["Prepared", "prepare", "read_prepared", "write_prepared"]

_LOG = logging.getLogger(__name__)


def prepare(config: DataConfig, *, data_dir: Path, seed: int) -> Prepared:
    """Read, order, filter and split the data that the config names.

    Relative paths start at `data_dir`; `seed` matters to the embedded world only.
    Raises: DataError for data that cannot be used as it is.
    """
    raw, items = read_source(config, data_dir=data_dir, seed=seed)
    if raw.untimed_users:
        _LOG.warning("%d users have no times: no times are kept, only the order", raw.untimed_users)
    chosen = by_user_and_time(raw.users, raw.times)
    dropped = (items.dropped if items else {}) | raw.dropped
    chosen = _without_repeats(chosen, raw, config.repeats, dropped)
    chosen = _k_core(chosen, raw, config.k_core, dropped)
    if not len(chosen):
        raise DataError(
            f"no interaction is left; dropped: {_listed(dropped)}. "
            "Loosen data.k_core, data.min_rating or data.unknown_items"
        )
    catalogue = _catalogue(raw, items, _present(raw.items[chosen]), config)
    interactions = _interactions(raw, chosen, catalogue)
    splits = _split(interactions, config)
    report = _report(raw, items, interactions, splits, dropped)
    _LOG.info("prepared %s; dropped %s", _listed(report["kept"]), _listed(dropped) or "nothing")
    return Prepared(catalogue, interactions, splits, report)


def by_user_and_time(users: Int[ndarray, " rows"], times: Int64[ndarray, " rows"] | None) -> Int64[ndarray, " rows"]:
    """The rows by user, then time; equal times, and all of a user's rows without times, in the order of reading."""
    return np.argsort(users, kind="stable") if times is None else np.lexsort((times, users))


def k_core(users: Int[ndarray, " rows"], items: Int[ndarray, " rows"], k: int) -> Bool[ndarray, " rows"]:
    """Which rows stay when users and items with fewer than `k` rows are removed until there is none."""
    kept = np.arange(len(users))
    while True:
        enough = (np.bincount(users[kept]) >= k)[users[kept]] & (np.bincount(items[kept]) >= k)[items[kept]]
        if enough.all():
            break
        kept = kept[enough]
    mask = np.zeros(len(users), dtype=bool)
    mask[kept] = True
    return mask


def consecutive_repeats(users: Int[ndarray, " rows"], items: Int[ndarray, " rows"]) -> Bool[ndarray, " rows"]:
    """Which rows have the same user and item as the row before (rows ordered by user)."""
    repeated = np.zeros(len(users), dtype=bool)
    repeated[1:] = (users[1:] == users[:-1]) & (items[1:] == items[:-1])
    return repeated


def later_repeats(users: Int[ndarray, " rows"], items: Int[ndarray, " rows"]) -> Bool[ndarray, " rows"]:
    """Which rows have a user and item that an earlier row has."""
    order = np.lexsort((items, users))  # stable: the earliest of equal pairs comes first
    repeated = np.zeros(len(users), dtype=bool)
    repeated[order] = consecutive_repeats(users[order], items[order])
    return repeated


def _without_repeats(
    chosen: Int64[ndarray, " rows"], raw: RawInteractions, repeats: str, dropped: dict[str, int]
) -> Int64[ndarray, " kept"]:
    if repeats == "keep":
        return chosen
    find = consecutive_repeats if repeats == "drop_consecutive" else later_repeats
    repeated = find(raw.users[chosen], raw.items[chosen])
    dropped["repeats"] = int(repeated.sum())
    return chosen[~repeated]


def _k_core(
    chosen: Int64[ndarray, " rows"], raw: RawInteractions, k: int, dropped: dict[str, int]
) -> Int64[ndarray, " kept"]:
    if k == 0:
        return chosen
    kept = k_core(raw.users[chosen], raw.items[chosen], k)
    dropped["k_core"] = int((~kept).sum())
    return chosen[kept]


def _catalogue(
    raw: RawInteractions, items: RawItems | None, used: Int[ndarray, " used"], config: DataConfig
) -> Catalogue:
    """The items in row order: those of the items file, or only those with an interaction left."""
    used_ids = raw.item_ids[used].tolist()
    if items is None:
        return Catalogue(text_array(row_order(used_ids)), {})
    with_cold_items = config.k_core == 0 and config.cold_items == "keep"
    item_ids = row_order(items.item_ids if with_cold_items else used_ids)
    position = {item_id: at for at, item_id in enumerate(items.item_ids)}
    order = [position[item_id] for item_id in item_ids]
    return Catalogue(text_array(item_ids), {name: [texts[at] for at in order] for name, texts in items.fields.items()})


def _interactions(raw: RawInteractions, chosen: Int64[ndarray, " kept"], catalogue: Catalogue) -> Interactions:
    row_of_raw = np.array([catalogue.row_of.get(item_id, -1) for item_id in raw.item_ids.tolist()], dtype=np.int32)
    counts = np.bincount(raw.users[chosen], minlength=len(raw.user_ids))
    used = np.flatnonzero(counts)
    return Interactions(
        user_ids=raw.user_ids[used],
        item_ids=catalogue.item_ids,
        offsets=np.concatenate([[0], np.cumsum(counts[used])]).astype(np.int64),
        items=row_of_raw[raw.items[chosen]],
        times=None if raw.times is None or raw.untimed_users else raw.times[chosen],
    )


def _present(codes: Int[ndarray, " codes"]) -> Int64[ndarray, " present"]:
    """Which numbers there are, ascending; sorting a hundred millions of them would take five times their memory."""
    return np.flatnonzero(np.bincount(codes))


def _split(interactions: Interactions, config: DataConfig) -> Splits:
    if config.split == "leave_one_out":
        return leave_one_out(interactions)
    assert config.validation_from_unix_s is not None  # DataConfig checks it
    assert config.test_from_unix_s is not None
    return global_time(
        interactions, validation_from_unix_s=config.validation_from_unix_s, test_from_unix_s=config.test_from_unix_s
    )


def _report(
    raw: RawInteractions, items: RawItems | None, interactions: Interactions, splits: Splits, dropped: dict[str, int]
) -> dict:
    starts, ends = interactions.offsets[:-1], interactions.offsets[1:]
    used = _present(interactions.items)
    return {
        "read": {
            "interactions": len(raw.users) + sum(raw.dropped.values()),
            "items": len(raw.item_ids) if items is None else len(items.item_ids),
        },
        "dropped": dropped,
        "bad_rows": raw.bad_rows + (items.bad_rows if items else []),
        "users_without_times": raw.untimed_users,
        "order": "file" if raw.times is None else "time, then file",
        "kept": {
            "users": interactions.num_users,
            "items": interactions.num_items,
            "interactions": interactions.num_interactions,
        },
        "cold_items": interactions.num_items - len(used),
        "split": {
            "train": int((splits.train_end - starts).sum()),
            "validation": int((splits.validation_end - splits.train_end).sum()),
            "test": int((ends - splits.validation_end).sum()),
        },
    }


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)

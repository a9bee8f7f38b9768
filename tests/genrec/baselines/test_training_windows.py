"""What trained baselines learn from: the training part, all of it and nothing else."""

from dataclasses import fields

import numpy as np
import pytest

from genrec.baselines.config import BaselinesConfig
from genrec.data.interactions import Interactions
from genrec.data.splits import leave_one_out

NAMES = [field.name for field in fields(BaselinesConfig)]
LENGTHS = [4, 3, 60, 9, 130]


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_learns_from_no_item_of_validation_or_test_and_from_all_before(name):
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)])
    items = np.arange(offsets[-1])
    interactions = Interactions(np.arange(len(LENGTHS)), items, offsets, items.astype(np.int32))
    splits = leave_one_out(interactions)
    windows = BaselinesConfig().named(name).windows(interactions, splits)
    for user, begin in enumerate(offsets[:-1]):
        of_user = windows.users == user
        parts = zip(windows.begin[of_user], windows.end[of_user] + 1, strict=True)
        reads = {place for part in parts for place in range(*part)}
        end = splits.train_end[user]
        assert reads == (set(range(begin, end)) if end - begin > 1 else set())

import numpy as np
import pytest

from genrec.data.interactions import Interactions


def interactions(offsets=(0, 2, 3), items=(1, 0, 1), times=None):
    return Interactions(
        np.array(["ann", "bob"]),
        np.array(["x", "y"]),
        np.array(offsets, dtype=np.int64),
        np.array(items, dtype=np.int32),
        None if times is None else np.array(times, dtype=np.int64),
    )


def test_a_user_has_the_items_between_two_offsets():
    table = interactions()
    assert (table.num_users, table.num_items, table.num_interactions) == (2, 2, 3)
    assert table.of(0).tolist() == [1, 0]
    assert table.of(1).tolist() == [1]


def test_offsets_that_do_not_end_at_the_last_interaction_are_refused():
    with pytest.raises(ValueError, match="from 0 to 3"):
        interactions(offsets=(0, 2, 4))


@pytest.mark.parametrize("items", [(1, 0, 2), (1, -1, 0)])
def test_rows_outside_the_catalogue_are_refused(items):
    with pytest.raises(ValueError, match=r"rows in 0\.\.1"):
        interactions(items=items)

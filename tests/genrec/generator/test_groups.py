"""Users in groups, on several threads."""

import os
from threading import get_ident

import pytest
import torch

from genrec.generator.groups import GROUP_ROWS, in_groups

CPU = torch.device("cpu")


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("num_users", [0, 1, 2, 7, 64])
@pytest.mark.parametrize("beam_size", [1, 50, 10 * GROUP_ROWS])
def test_every_user_is_searched_once_and_in_order(two_threads, num_users, beam_size):
    users = list(range(num_users))
    parts = in_groups(lambda group: users[group], num_users, beam_size=beam_size, device=CPU)
    assert [user for part in parts for user in part] == users
    assert all(len(part) == 1 or len(part) * beam_size <= GROUP_ROWS for part in parts)


def test_groups_take_all_threads_and_each_has_one(two_threads):
    found = in_groups(lambda _: (get_ident(), torch.get_num_threads()), 64, beam_size=50, device=CPU)
    threads, widths = zip(*found, strict=True)
    assert get_ident() not in threads and set(widths) == {1}
    assert torch.get_num_threads() == 2


def test_a_batch_smaller_than_a_group_is_shared_among_the_threads(two_threads):
    parts = in_groups(lambda group: group, 8, beam_size=50, device=CPU)
    assert parts == [slice(0, 4), slice(4, 8)]


def test_a_single_history_is_searched_on_the_callers_thread_alone(two_threads):
    found = in_groups(lambda _: (get_ident(), torch.get_num_threads()), 1, beam_size=50, device=CPU)
    assert found == [(get_ident(), 1)] and torch.get_num_threads() == 2
    with pytest.raises(ZeroDivisionError):
        in_groups(lambda _: 1 // 0, 1, beam_size=50, device=CPU)
    assert torch.get_num_threads() == 2


def test_one_thread_searches_in_the_callers_own():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert set(in_groups(lambda _: get_ident(), 64, beam_size=50, device=CPU)) == {get_ident()}
    finally:
        torch.set_num_threads(before)


def test_threads_that_start_later_have_the_number_of_the_caller(two_threads):
    from concurrent.futures import ThreadPoolExecutor

    in_groups(lambda group: group, 2, beam_size=50, device=CPU)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 2


def test_an_error_in_a_group_reaches_the_caller(two_threads):
    def search(group: slice) -> None:
        raise ValueError(f"no user {group.start}")

    with pytest.raises(ValueError, match="no user 0"):
        in_groups(search, 4, beam_size=50, device=CPU)


def test_a_forked_process_searches_too(two_threads):
    in_groups(lambda group: group, 4, beam_size=50, device=CPU)
    child = os.fork()
    if not child:
        found = in_groups(lambda group: group.start, 4, beam_size=50, device=CPU)
        os._exit(0 if found == [0, 2] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

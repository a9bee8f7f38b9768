"""Time that is counted by a clock of our own."""

import pytest

from genrec.report.latency import measure


class Recommending:
    """Takes so many seconds a call, by its own clock."""

    def __init__(self, *seconds):
        self.seconds, self.now, self.calls = list(seconds), 0.0, []

    def recommend(self, histories):
        self.now += self.seconds[min(len(self.calls), len(self.seconds) - 1)]
        self.calls.append(list(histories))

    def clock(self):
        return self.now


def test_the_first_call_does_not_count_and_the_median_is_of_the_others():
    slow_start = Recommending(5.0, 0.5, 0.7, 0.9)
    found = measure(slow_start.recommend, [["a"], ["b"]], batch_size=1, clock=slow_start.clock)
    assert (found.num_calls, found.median_ms) == (3, pytest.approx(700))
    assert found.users_per_s == pytest.approx(3 / 2.1)
    assert found.p95_ms == pytest.approx(880)  # between 700 and 900, nine tenths of the way


def test_however_slow_three_calls_are_made_and_however_fast_a_hundred():
    slow, fast = Recommending(60.0), Recommending(1e-6)
    assert measure(slow.recommend, [["a"]], batch_size=1, clock=slow.clock).num_calls == 3
    assert measure(fast.recommend, [["a"]], batch_size=1, clock=fast.clock).num_calls == 100


def test_calls_take_the_histories_in_turn():
    each = Recommending(1.0)
    measure(each.recommend, [["a"], ["b"], ["c"]], batch_size=2, clock=each.clock)
    assert each.calls[1:4] == [[["a"], ["b"]], [["c"], ["a"]], [["b"], ["c"]]]

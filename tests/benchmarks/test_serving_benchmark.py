import math
from collections import Counter
from types import SimpleNamespace

from benchmarks.changes import Answer, Stock, failures
from benchmarks.http_load import Load
from benchmarks.serving import seconds_to_full_speed, told


def test_full_speed_is_reached_when_the_mean_so_far_is_usual():
    assert seconds_to_full_speed([4, 100, 100], 100) == 0.5
    assert seconds_to_full_speed([0, 0, 90, 200], 100) == 1.0
    assert math.isinf(seconds_to_full_speed([0, 1, 1], 100))


def test_a_load_is_told_with_its_refusals():
    load = Load(Counter({200: 2, 429: 1}), [0.1, 0.2], [0.01, 0.03], [0.002], seconds=2.0)
    figures = told(load)
    assert figures["answered_per_second"] == 1.0 and figures["refused_p99_ms"] == 2.0
    assert figures["statuses"] == {"200": 2, "429": 1}


def stock_of_changes():
    stock = Stock(("a", "b"))
    stock.note(1, "lamp", is_in=True)
    stock.note(2, "pen", is_in=True)
    stock.note(3, "lamp", is_in=False)
    return stock


def test_a_stock_knows_what_each_version_has():
    stock = stock_of_changes()
    assert [stock.has("lamp", version) for version in range(5)] == [False, True, True, False, False]
    assert stock.present() == ["pen"] and stock.newest == 3


def failures_of(*answers, statuses=None, refused=()):
    readers = SimpleNamespace(
        stock=stock_of_changes(), answers=list(answers), statuses=Counter(statuses or {200: len(answers)}), refused=[]
    )
    return failures(SimpleNamespace(refused=list(refused)), readers)


def test_lists_that_their_version_does_not_have_are_failures():
    right = Answer(0, 2, ["a", "lamp", "pen"], 0.1)
    assert failures_of(right) == []
    assert failures_of(right, Answer(0, 3, ["lamp"], 0.1)) == ["1 lists with items that their version does not have"]
    assert failures_of(Answer(2, 1, ["a"], 0.1)) == ["1 lists older than what was known when they were asked for"]
    assert failures_of(right, refused=["no"]) == ["1 changes failed", "refused: no"]

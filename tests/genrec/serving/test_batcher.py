import asyncio
import threading
import time

import pytest

from genrec.serving.batcher import Batcher, ClosingError, DeadlineError, QueueFullError


class Slow:
    """Doubles numbers, after it has been let go on; -1 is refused."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.batches = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, calls):
        self.gate.wait(5)
        time.sleep(self.seconds)
        self.batches.append([list(call) for call in calls])
        return [ValueError("minus one") if -1 in call else [2 * number for number in call] for call in calls]


def run(test, answering, **options):
    chosen = {"max_batch": 4, "queue_size": 8, "deadline_s": 5.0} | options

    async def main():
        batcher = Batcher(answering, **chosen)
        batcher.start()
        try:
            await test(batcher)
        finally:
            await batcher.close(seconds=5)

    asyncio.run(main())


def test_what_waits_is_answered_together_and_everybody_gets_his_own():
    answering = Slow()
    answering.gate.clear()

    async def test(batcher):
        asking = [asyncio.create_task(batcher.ask([number])) for number in range(6)]
        await asyncio.sleep(0.05)
        answering.gate.set()
        assert await asyncio.gather(*asking) == [[0], [2], [4], [6], [8], [10]]

    run(test, answering)
    sizes = [sum(map(len, batch)) for batch in answering.batches]
    assert sum(sizes) == 6 and max(sizes) <= 4 and len(sizes) <= 3


def test_a_call_larger_than_a_batch_is_one_of_its_own():
    async def test(batcher):
        assert await batcher.ask([1, 2, 3, 4, 5, 6]) == [2, 4, 6, 8, 10, 12]

    run(test, Slow())


def test_a_call_that_is_refused_does_not_touch_its_neighbours():
    answering = Slow()
    answering.gate.clear()

    async def test(batcher):
        asking = [asyncio.create_task(batcher.ask([number])) for number in (7, 1, -1, 2)]
        await asyncio.sleep(0.05)
        answering.gate.set()
        found = await asyncio.gather(*asking, return_exceptions=True)
        assert [found[0], found[1], found[3]] == [[14], [2], [4]]
        assert isinstance(found[2], ValueError)

    run(test, answering)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again():
    answering = Slow()
    answering.gate.clear()

    async def test(batcher):
        asking = [asyncio.create_task(batcher.ask([0, 1]))]
        await asyncio.sleep(0.05)  # that one is being answered; eight questions may wait
        asking += [asyncio.create_task(batcher.ask([0, 1])) for _ in range(4)]
        await asyncio.sleep(0.05)
        began = time.monotonic()
        with pytest.raises(QueueFullError) as refused:
            await batcher.ask([1])
        assert time.monotonic() - began < 0.5 and refused.value.retry_after_s >= 1
        answering.gate.set()
        await asyncio.gather(*asking)
        assert batcher.waiting == 0

    run(test, answering)


def test_what_would_be_late_is_refused_before_it_waits():
    async def test(batcher):
        await batcher.ask([1, 2, 3, 4])  # a full batch: now it knows what one takes
        asking = [asyncio.create_task(batcher.ask([0, 0, 0, 0])) for _ in range(3)]
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFullError):
            await batcher.ask([1])
        await asyncio.gather(*asking, return_exceptions=True)

    run(test, Slow(seconds=0.2), queue_size=1000, deadline_s=0.5)


def test_one_slow_batch_does_not_make_it_refuse_for_ever():
    answering = Slow(seconds=0.3)

    async def test(batcher):
        with pytest.raises(DeadlineError):
            await batcher.ask([1, 2, 3, 4])
        await asyncio.sleep(0.2)  # it has learnt that a full batch takes longer than there is
        answering.seconds = 0.0
        for _ in range(20):
            asking = [asyncio.create_task(batcher.ask([number])) for number in range(4)]
            await asyncio.gather(*asking)
        several = [asyncio.create_task(batcher.ask([number])) for number in range(16)]
        assert len(await asyncio.gather(*several)) == 16

    run(test, answering, queue_size=1000, deadline_s=0.2)


def test_the_deadline_is_kept_though_the_search_is_not_over():
    answering = Slow()
    answering.gate.clear()

    async def test(batcher):
        began = time.monotonic()
        with pytest.raises(DeadlineError, match=r"within 0\.2 s"):
            await batcher.ask([1])
        assert 0.15 < time.monotonic() - began < 1
        waiting = asyncio.create_task(batcher.ask([2]))
        await asyncio.sleep(0.01)
        answering.gate.set()
        assert await waiting == [4]

    run(test, answering, deadline_s=0.2)


def test_what_nobody_waits_for_any_more_is_not_searched():
    answering = Slow()
    answering.gate.clear()

    async def test(batcher):
        first = asyncio.create_task(batcher.ask([1]))
        await asyncio.sleep(0.01)
        late = [asyncio.create_task(batcher.ask([number])) for number in (2, 3)]
        found = await asyncio.gather(first, *late, return_exceptions=True)
        assert all(isinstance(each, DeadlineError) for each in found)
        answering.gate.set()
        assert await batcher.ask([5]) == [10]

    run(test, answering, deadline_s=0.2)
    assert [[1]] in answering.batches and all([2] not in batch for batch in answering.batches)


def test_closing_answers_what_was_taken_on_and_nothing_more():
    answering = Slow()
    answering.gate.clear()

    async def test(batcher):
        asking = [asyncio.create_task(batcher.ask([number])) for number in range(6)]
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(batcher.close(seconds=5))
        await asyncio.sleep(0.02)
        with pytest.raises(ClosingError):
            await batcher.ask([9])
        answering.gate.set()
        await closing
        assert await asyncio.gather(*asking) == [[0], [2], [4], [6], [8], [10]]

    run(test, answering)


def test_a_search_that_fails_is_told_to_all_of_its_batch_and_the_next_one_goes_on():
    class Broken(Slow):
        def __call__(self, calls):
            if [list(call) for call in calls] == [[13]]:
                raise RuntimeError("out of order")
            return super().__call__(calls)

    async def test(batcher):
        with pytest.raises(RuntimeError, match="out of order"):
            await batcher.ask([13])
        assert await batcher.ask([1]) == [2]

    run(test, Broken())


def test_the_sizes_of_batches_are_told():
    told = []

    async def test(batcher):
        batcher.batch_sizes = lambda size, seconds: told.append((size, seconds > 0))
        await batcher.ask([1, 2])

    run(test, Slow(seconds=0.01))
    assert told == [(2, True)]

import asyncio
import threading

import pytest

from genrec.serving.batcher import ClosingError
from genrec.serving.change_queue import ChangeQueue, TooManyChangesError


async def begun(event):
    while not event.is_set():
        await asyncio.sleep(0.001)


def test_changes_run_one_at_a_time_in_their_order():
    async def act():
        queue, running, seen = ChangeQueue(8), threading.Lock(), []

        def change(number):
            assert running.acquire(blocking=False)
            seen.append(number)
            running.release()
            return number * number

        done = await asyncio.gather(*(queue.do(lambda number=number: change(number)) for number in range(8)))
        await queue.close()
        return seen, done

    assert asyncio.run(act()) == (list(range(8)), [number**2 for number in range(8)])


def test_more_changes_than_may_wait_are_refused_at_once():
    async def act():
        queue, go, is_running = ChangeQueue(2), threading.Event(), threading.Event()

        def slow():
            is_running.set()
            return go.wait(20)

        taken = [asyncio.ensure_future(queue.do(slow)) for _ in range(2)]
        await begun(is_running)
        with pytest.raises(TooManyChangesError, match="2 changes wait already"):
            await queue.do(slow)
        go.set()
        assert await asyncio.gather(*taken) == [True, True]
        assert await queue.do(lambda: "there is room again") == "there is room again"
        await queue.close()

    asyncio.run(act())


def test_what_a_change_raises_comes_to_whoever_asked():
    async def act():
        queue = ChangeQueue(1)
        with pytest.raises(ZeroDivisionError):
            await queue.do(lambda: 1 // 0)
        assert await queue.do(lambda: 7) == 7
        await queue.close()

    asyncio.run(act())


def test_closing_waits_for_the_change_that_runs_and_drops_the_others():
    async def act():
        queue, go, is_running, seen = ChangeQueue(4), threading.Event(), threading.Event(), []

        def slow():
            is_running.set()
            go.wait(20)
            seen.append("done")
            return 1

        running, waiting = asyncio.ensure_future(queue.do(slow)), asyncio.ensure_future(queue.do(slow))
        await begun(is_running)
        closing = asyncio.ensure_future(queue.close())
        await asyncio.sleep(0.05)
        assert not closing.done() and not seen
        go.set()
        await closing
        assert seen == ["done"] and await running == 1
        with pytest.raises(ClosingError):
            await waiting
        with pytest.raises(ClosingError):
            await queue.do(slow)

    asyncio.run(act())


def test_a_change_that_nobody_waits_for_any_more_is_done_all_the_same():
    async def act():
        queue, go, is_running, seen = ChangeQueue(1), threading.Event(), threading.Event(), []

        def slow():
            is_running.set()
            go.wait(20)
            seen.append("done")

        asked = asyncio.ensure_future(queue.do(slow))
        await begun(is_running)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        go.set()
        await queue.close()
        return seen

    assert asyncio.run(act()) == ["done"]

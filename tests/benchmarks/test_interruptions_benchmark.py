import os
import subprocess
import sys

from benchmarks.interruptions import INTERVAL, Tally, descendants


def test_a_tally_without_losses_has_no_failures():
    tally = Tally(interruptions=3, trainings=1, steps_planned=100, steps_run=100 + 3 * INTERVAL, stop_seconds=[9.0])
    assert tally.failures() == []


def test_every_kind_of_loss_is_a_failure():
    tally = Tally(interruptions=1, trainings=2, steps_planned=100, steps_run=101 + INTERVAL, other_weights=1)
    tally.lost_seconds, tally.lost_after_stop, tally.stop_seconds = 1, 2, [1.0, 11.0]
    assert len(tally.failures()) == 5


def test_descendants_are_children_and_theirs():
    inner = "import sys; print(1, flush=True); sys.stdin.read()"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert len(descendants(process.pid)) == 1 and process.pid in descendants(os.getpid())
        process.stdin.close()

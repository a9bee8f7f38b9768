import subprocess
import sys

from benchmarks.interruptions import INTERVAL, Tally, Training, ended, kill, stop


def test_a_tally_without_losses_has_no_failures():
    tally = Tally(interruptions=3, trainings=1, steps_planned=100, steps_run=100 + 3 * INTERVAL, stop_seconds=[9.0])
    tally.exit_codes.update([143, 143])
    assert tally.failures() == []


def test_every_kind_of_loss_is_a_failure():
    tally = Tally(interruptions=1, trainings=2, steps_planned=100, steps_run=101 + INTERVAL, other_weights=1)
    tally.lost_seconds, tally.lost_after_stop, tally.stop_seconds = 1, 2, [1.0, 11.0]
    tally.exit_codes.update([143, 1])
    assert len(tally.failures()) == 6


def sleepers(count):
    return [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) for _ in range(count)]


def test_all_processes_are_killed_and_count_as_one_interruption(tmp_path):
    processes, tally = sleepers(2), Tally()
    kill(Training(tmp_path, 2), processes, tally)
    assert ended(processes) == [-9, -9] and tally.interruptions == 1


def test_every_process_that_is_stopped_has_its_exit_code_counted(tmp_path):
    processes, tally = sleepers(2), Tally()
    stop(Training(tmp_path, 2), processes, tally)
    assert tally.exit_codes == {-15: 2} and tally.interruptions == 1

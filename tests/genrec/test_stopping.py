import os
import signal
import subprocess
import sys
import threading

import pytest

from genrec import stopping
from genrec.stopping import end, stop_requests


@pytest.fixture(autouse=True)
def _with_usual_handlers():
    """A shell that started the tests in the background made them ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with stop_requests() as request:
        os.kill(os.getpid(), signal.SIGINT)
        assert request.signal == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_noted_and_the_handlers_come_back(number):
    before = signal.getsignal(number)
    with stop_requests() as request:
        assert request.signal == 0
        os.kill(os.getpid(), number)
        assert request.signal == number
    assert signal.getsignal(number) is before


def test_what_a_launcher_passes_on_at_once_is_the_same_request():
    with stop_requests() as request:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert request.signal == signal.SIGTERM


def test_a_second_request_is_obeyed(monkeypatch):
    monkeypatch.setattr(stopping, "_SAME_REQUEST_SECONDS", -1.0)
    with stop_requests():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(SystemExit, match="143"):
            os.kill(os.getpid(), signal.SIGTERM)


def test_other_threads_leave_the_handlers_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def inside():
        with stop_requests() as request:
            seen.append((request.signal, signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [(0, before)]


def test_programs_end_with_the_exit_codes_of_a_shell():
    with pytest.raises(SystemExit, match="143"):
        end(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        end(signal.SIGINT)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_command_line_ends_as_asked_without_a_traceback(tmp_path, number, code):
    script = (
        "import os, signal, sys\n"
        "import genrec.cli, genrec.pipeline\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"genrec.pipeline._bring = lambda *_: os.kill(os.getpid(), {int(number)})\n"
        f"sys.argv = ['genrec', 'prepare', 'demo', '--out', {str(tmp_path / 'run')!r}]\n"
        "genrec.cli.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code
    assert "Traceback" not in done.stderr

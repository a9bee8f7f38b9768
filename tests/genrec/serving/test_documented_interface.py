"""Every operation answers as its documentation says, whatever it is sent: the corners of its schema, by schemathesis.

Thousands of random calls of each operation besides, to a server of a copy of a run:

    GENREC_API_KEY=sesame genrec serve RUN --port 8123
    st --config-file tests/genrec/serving/schemathesis.toml run http://127.0.0.1:8123/openapi.json \
        -H 'X-API-Key: sesame' --mode all --max-examples 1000
"""

import subprocess
import sys
from pathlib import Path

from genrec.serving.keys import API_KEY

CONFIG = Path(__file__).with_name("schemathesis.toml")


def test_no_answer_is_undocumented(serving, own_run, monkeypatch):
    monkeypatch.setenv(API_KEY, "sesame")
    with serving("serving.deadline_ms=20000", run=own_run) as client:
        found = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", CONFIG),
                *("run", f"http://127.0.0.1:{client.port}/openapi.json", "--header", "X-API-Key: sesame"),
                *("--mode", "all", "--phases", "coverage", "--continue-on-failure", "--generation-deterministic"),
                *("--no-color", "--warnings", "off"),
            ],
            cwd=own_run.parent,
            capture_output=True,
            text=True,
        )
        operations = sum(map(len, client.get("/openapi.json").body["paths"].values()))
    told = "\n".join(line[:300] for line in found.stdout.splitlines())  # bodies can be very long
    assert found.returncode == 0, told
    assert f"Tested: {operations}" in told

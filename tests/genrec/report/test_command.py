"""`genrec report` as it is typed."""

import json
import shutil
from functools import partial
from pathlib import Path

from forked import genrec

report = partial(genrec, "report")


def test_a_run_gets_its_report_with_latency_and_json_names_what_was_written(world_copy, tmp_path, read_page):
    done = report(world_copy, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    written = json.loads(done.stdout)
    assert written["run"] == str(world_copy)
    page = read_page(written["page"])
    assert written["page"] == str(world_copy / "report" / "report.html")
    assert written["pictures"] and all(Path(path).is_file() for path in written["pictures"])
    assert "evaluate: done before" in done.stderr and "report: latency" in done.stderr
    assert set(page.table("Latency")) == {"1", "64"}
    assert float(page.table("Latency")["64"]["median ms"]) > 0


def test_a_run_is_brought_to_its_evaluation_first_and_out_is_the_folder_of_the_report(world_copy, tmp_path):
    (world_copy / "metrics.json").unlink()
    done = report(world_copy, "--out", tmp_path / "shown", "--no-latency", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "shown" / "report.html")
    assert (world_copy / "metrics.json").is_file() and "train: done before" in done.stderr
    assert not (world_copy / "report" / "report.html").exists()


def test_a_run_whose_data_is_gone_is_reported_as_it_was_evaluated(titled_run, tmp_path):
    run = Path(shutil.copytree(titled_run, tmp_path / "moved"))
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("clicks.csv", "gone.csv"))
    done = report(run, "--no-latency", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "gone.csv" in done.stderr and "as it was evaluated before" in done.stderr
    assert (run / "report" / "report.html").is_file()
    (run / "stages" / "evaluate.json").unlink()
    assert report(run, "--no-latency", cwd=tmp_path).returncode == 2


def test_another_run_as_its_folder_is_refused_before_anything_is_done(world_copy, tmp_path):
    done = report("demo", "--out", world_copy, cwd=tmp_path)
    assert done.returncode == 2 and "is a run folder" in done.stderr
    assert not (tmp_path / "runs").exists()

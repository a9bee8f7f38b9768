"""Long measurements: each module runs as `python -m benchmarks.NAME` and writes JSON with `--json FILE`."""

"""The command line: progress for people on stderr, results on stdout, as one JSON object with --json.

Exit codes: 0, 2 for usage or bad input, 1 for a failure. Heavy imports wait until a command runs.
"""

import logging
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from genrec.bulk.commands import bulk_app
from genrec.errors import GenRecError, InputError
from genrec.list_commands import AsJson, RunArgument, explain, print_json, recommend, sample
from genrec.stopping import end_on_sigterm

app = typer.Typer(
    name="genrec",
    help="Generative recommendation on semantic IDs: build item codebooks, train the generator, recommend.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="Show a config with its defaults, or the schema of all configs.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(bulk_app, name="bulk")

ConfigArgument = Annotated[str, typer.Argument(metavar="CONFIG", help="A YAML file, or a built-in name such as demo.")]
RunOrConfig = Annotated[str, typer.Argument(metavar="RUN-or-CONFIG", help="A run folder, or a config as for `run`.")]
Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[section.key=value ...]", help="Changes to the config.")
]
Out = Annotated[Path | None, typer.Option("--out", help="The run folder; by default runs/<name of the config>.")]


def main() -> None:
    """Run the command line; errors that a user can mend become one message and exit code 2."""
    end_on_sigterm()
    _set_environment()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        app()
    except InputError as error:
        _fail(error, 2)
    except GenRecError as error:
        _fail(error, 1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # `genrec ... | head`: no traceback
        sys.exit(1)


def _fail(error: Exception, code: int) -> None:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(code)


@app.command()
def demo(as_json: AsJson = False, out: Out = None) -> None:
    """Run everything on the embedded world and print recommendations and the table; no data, no network."""
    from genrec.tables import demo_summary, recommendations_shown, results_table

    result = _run("demo", [], out=out, until="evaluate")
    assert result.metrics is not None
    if as_json:
        print_json(demo_summary(result.metrics))
        return
    print(recommendations_shown(result.path))
    print(results_table(result.metrics))


@app.command()
def run(config: ConfigArgument, overrides: Overrides = None, out: Out = None, as_json: AsJson = False) -> None:
    """Run every stage that is not done yet, then print the results."""
    from genrec.tables import diagnostics_table, results_table

    result = _run(config, overrides, out=out, until="evaluate")
    if result.metrics is None:
        return
    if as_json:
        print_json({"run": str(result.path), **result.metrics})
    else:
        print(results_table(result.metrics), diagnostics_table(result.metrics), sep="\n\n")


def _stage_command(stage: str, text: str) -> Callable[..., None]:
    def command(source: RunOrConfig, overrides: Overrides = None, out: Out = None, as_json: AsJson = False) -> None:
        result = _run(source, overrides, out=out, until=stage)
        if as_json and _is_main_process():
            print_json({"run": str(result.path), "stage": stage, **(result.metrics or {})})

    command.__doc__ = text
    return app.command(name=stage)(command)


_stage_command("prepare", "Read, check and split the data.")
_stage_command("embed", "Turn item texts into vectors (after the stages before it).")
_stage_command("tokenize", "Fit the tokenizer and give every item its semantic ID (after the stages before it).")
_stage_command("index", "Build the prefix trie (after the stages before it).")
_stage_command("train", "Train the generator (after the stages before it); also under torchrun or accelerate launch.")
_stage_command("evaluate", "Measure the generator and the baselines (after the stages before it).")


@app.command()
def report(
    source: RunOrConfig,
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the report; by default RUN/report.")] = None,
    no_latency: Annotated[bool, typer.Option("--no-latency", help="Do not measure how fast this machine is.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a run's report, one HTML file with its pictures (after the stages before it)."""
    from genrec.progress import for_terminal
    from genrec.report.write import check_target, write_report

    check_target(out)
    run = _evaluated(source, overrides)
    if not _is_main_process():
        return
    written = write_report(run, out=out, with_latency=not no_latency, progress=for_terminal())
    if as_json:
        pictures = [str(picture) for picture in written.pictures]
        print_json({"run": str(run), "page": str(written.page), "pictures": pictures})
    else:
        print(written.page)


@app.command()
def baseline(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="sasrec, sasrec_content, sasrec_one_negative, bert4rec or tiger.")
    ],
    source: RunOrConfig,
    overrides: Overrides = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Train a baseline beside a run and measure it (after the stages that it needs); also under torchrun."""
    from genrec.tables import baseline_table

    result = _run(source, overrides, out=out, until=_baseline_name(name))
    if result.metrics is None:
        return
    if as_json:
        print_json({"run": str(result.path), "baseline": name, **result.metrics})
    else:
        print(baseline_table(name, result.metrics))


for _command in (recommend, sample, explain):
    app.command()(_command)


@app.command("add-items")
def add_items(
    run: RunArgument,
    items: Annotated[
        Path, typer.Option(help="CSV, TSV, JSONL or Parquet (or a folder of parts) with the run's item columns.")
    ],
    vectors: Annotated[
        Path | None,
        typer.Option(help="Their vectors (.npz, .parquet, or .npy in the order of --items), for embeddings.file."),
    ] = None,
    codes: Annotated[
        Path | None, typer.Option(help="Their codes (.json or .npz), for runs with tokenizer.codes.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give new items codes by a run's fitted tokenizer, and report drift; nothing is trained or changed."""
    from genrec.additions.add import add_items as add
    from genrec.progress import for_terminal

    progress = for_terminal()
    added = add(run, items, vectors=vectors, codes=codes, progress=progress)
    progress.say(f"{len(added.item_ids)} items added to {run}, which has {added.num_items} now")
    if added.put_back:
        progress.say(f"{len(added.put_back)} items that had been removed are back, as they were")
    if added.num_sharing:
        progress.say(f"{added.num_sharing} of them share their ID with another item")
    if added.drift is not None:
        progress.say(added.drift.table())
    if as_json:
        print_json(added.as_dict())


@app.command()
def serve(
    run: RunArgument,
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[serving.key=value ...]", help="Changes to the run's config.")
    ] = None,
    host: Annotated[str, typer.Option(help="0.0.0.0 to be reached from elsewhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the searches; by default one for each core, or one of each replica.")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="By Ray Serve, so many; otherwise in this process.")
    ] = None,
    gpus: Annotated[float, typer.Option(min=0, help="Of each replica.")] = 0.0,
    ray_address: Annotated[str | None, typer.Option(help="Of a running Ray cluster, such as auto.")] = None,
) -> None:
    """Serve a run over HTTP until SIGTERM or Ctrl-C; what was taken on is answered first."""
    from genrec.errors import ConfigError
    from genrec.progress import for_terminal

    where = f"serving {run} at http://{host}:{port}; its interface: /openapi.json"
    try:
        from genrec.serving.many_machines import serve_replicas
        from genrec.serving.server import make_server
    except ImportError as error:
        raise ConfigError(f'{error.name} is not installed; pip install "genrec[serve]"') from error
    if replicas is not None:
        each = {"replicas": replicas, "threads": threads or 1, "gpus": gpus}
        on_ready = partial(for_terminal().say, where)
        serve_replicas(
            run, host=host, port=port, **each, address=ray_address, overrides=overrides or (), on_ready=on_ready
        )
    elif gpus or ray_address:
        raise ConfigError("--gpus and --ray-address are of replicas; give --replicas N, too")
    else:
        server = make_server(run, host=host, port=port, overrides=overrides or (), threads=threads)
        for_terminal().say(where)
        server.run()


@app.command()
def download(
    name: Annotated[str, typer.Argument(help="Such as movielens-1m or amazon2014-beauty; --list shows all.")] = "",
    folder: Annotated[Path | None, typer.Option("--to", help="Target; by default $GENREC_DATA or data/.")] = None,
    list_all: Annotated[bool, typer.Option("--list", help="Show the known sets.")] = False,
) -> None:
    """Download a public data set, with resume and checksum."""
    from genrec.data.download import DATASETS
    from genrec.data.download import download as fetch
    from genrec.data.sources.files import data_folder
    from genrec.progress import for_terminal

    if list_all:
        print("\n".join(sorted(DATASETS)))
        return
    with for_terminal().bar(f"download {name}") as bar:
        target = fetch(name, folder or data_folder(), progress=bar)
    print(target)


@config_app.command("show")
def config_show(config: RunOrConfig, overrides: Overrides = None) -> None:
    """Print a config with all its defaults."""
    from genrec.config import load_config, to_yaml

    path = Path(config)
    print(to_yaml(load_config(path / "config.yaml" if path.is_dir() else path, overrides or ())), end="")


@config_app.command("schema")
def config_schema() -> None:
    """Print the JSON schema of configs, for editors."""
    from genrec.config import schema

    print_json(schema())


def _run(source: str, overrides: list[str] | None, *, out: Path | None, until: str) -> Any:
    """Bring a run to a stage; `source` is a config, or a run folder that holds one."""
    from genrec.artifacts import RunFolder, is_run_folder
    from genrec.config import builtin_names
    from genrec.pipeline import run_pipeline
    from genrec.progress import Silence, for_terminal

    path = Path(source)
    if is_run_folder(path) or (path.is_dir() and source not in builtin_names()):
        run_folder = RunFolder.open(path)
        out, source = out or run_folder.path, str(run_folder.config)
    progress = for_terminal() if _is_main_process() else Silence()
    return run_pipeline(source, out=out, overrides=overrides or (), until=until, progress=progress)


def _evaluated(source: str, overrides: list[str] | None) -> Path:
    """A run that has been evaluated: with today's data or, if that is gone, as it is."""
    from genrec.artifacts import RunFolder, is_run_folder
    from genrec.errors import DataError
    from genrec.progress import for_terminal

    try:
        return _run(source, overrides, out=None, until="evaluate").path
    except DataError as error:
        if overrides or not is_run_folder(source) or RunFolder(source).manifest("evaluate") is None:
            raise
        for_terminal().say(f"{error}\nthe report is of the run as it was evaluated before")
        return Path(source)


def _baseline_name(name: str) -> str:
    from genrec.artifacts import BASELINE_OUTPUTS
    from genrec.errors import ConfigError

    if name not in BASELINE_OUTPUTS:
        raise ConfigError(f"there is no baseline {name!r} to train; expected one of {', '.join(BASELINE_OUTPUTS)}")
    return name


def _set_environment() -> None:
    """Defaults for the libraries, before they load: threads that wait quietly, no bars and hints beside our own."""
    # spinning threads make two busy processes on one machine many times slower; OpenMP reads this when torch loads
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def _is_main_process() -> bool:
    """Whether this is the process that speaks, of those that torchrun or accelerate started."""
    return int(os.environ.get("RANK", "0")) == 0

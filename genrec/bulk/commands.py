"""`genrec bulk embed | tokenize | recommend`: parts in, parts out, on one machine or by Ray."""

from pathlib import Path
from typing import Annotated

import typer

from genrec.bulk.parts import Runner, Work
from genrec.list_commands import (
    Allow,
    AsJson,
    Deny,
    KeepHistory,
    Length,
    RunArgument,
    Where,
    filters,
    print_json,
)

bulk_app = typer.Typer(help="Embed, code or recommend over folders of parts; stopped work goes on where it was.")

Out = Annotated[Path, typer.Argument(metavar="OUT", help="A folder for as many Parquet files.")]
Workers = Annotated[int | None, typer.Option(min=1, help="By Ray, on so many workers; otherwise in this process.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Of each worker; by default 1 with --workers, else all.")]
Address = Annotated[str | None, typer.Option("--ray-address", help="Of a running Ray cluster, such as auto.")]


@bulk_app.command()
def embed(
    run: RunArgument,
    items: Annotated[Path, typer.Argument(metavar="ITEMS", help="Parts with the run's item columns.")],
    out: Out,
    workers: Workers = None,
    threads: Threads = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Items to vectors by a run's encoder: Parquet with item_id and vector."""
    from genrec.bulk.work import Embedding

    _bring(Embedding(run.absolute()), items, out, workers, threads, address, as_json=as_json)


@bulk_app.command()
def tokenize(
    run: RunArgument,
    vectors: Annotated[Path, typer.Argument(metavar="VECTORS", help="Parquet parts with item_id and vector.")],
    out: Out,
    workers: Workers = None,
    threads: Threads = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Vectors to codes by a run's tokenizer: Parquet with item_id and codes, for tokenizer.codes."""
    from genrec.bulk.work import Tokenizing

    _bring(Tokenizing(run.absolute()), vectors, out, workers, threads, address, as_json=as_json)


@bulk_app.command()
def recommend(
    run: RunArgument,
    histories: Annotated[Path, typer.Argument(metavar="HISTORIES", help="JSONL or Parquet parts with item_ids.")],
    out: Out,
    k: Length = None,
    keep_history: KeepHistory = False,
    allow: Allow = None,
    deny: Deny = None,
    where: Where = None,
    beam_size: Annotated[int | None, typer.Option(min=1, help="Candidates kept per level.")] = None,
    rank: Annotated[str | None, typer.Option(help="codes or blend; by default as the run says.")] = None,
    workers: Workers = None,
    threads: Threads = None,
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Histories to lists, as `genrec recommend --histories` writes them."""
    from genrec.bulk.work import Recommending

    options = {**filters(k, keep_history, allow, deny, where), "beam_size": beam_size, "rank": rank}
    _bring(Recommending(run.absolute(), options), histories, out, workers, threads, address, as_json=as_json)


def _bring(
    work: Work,
    source: Path,
    out: Path,
    workers: int | None,
    threads: int | None,
    address: str | None,
    *,
    as_json: bool,
) -> None:
    from genrec.bulk.parts import do_parts
    from genrec.progress import for_terminal

    progress = for_terminal()
    report = do_parts(work, source, out, run=_runner(workers, threads, address), progress=progress)
    progress.say(f"{report.parts} parts in {report.out}, {report.done_before} of them done before")
    if as_json:
        print_json(report.as_dict())


def _runner(workers: int | None, threads: int | None, address: str | None) -> Runner:
    if workers is not None or address is not None:
        from genrec.bulk.many_machines import RayRunner

        return RayRunner(workers=workers or 1, threads=threads or 1, address=address)
    from genrec.bulk.parts import one_after_the_other

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return one_after_the_other

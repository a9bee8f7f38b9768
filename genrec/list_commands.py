"""The commands that answer histories: the best items, a sample, and why an item scores what it does."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genrec.errors import ConfigError, DataError

if TYPE_CHECKING:
    from genrec.recommendation.lists import RecommendationList
    from genrec.recommendation.recommender import Recommender

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with a trained generator.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
History = Annotated[str | None, typer.Option(help="Item ids, oldest first, separated by commas.")]
Histories = Annotated[Path | None, typer.Option(help="JSONL or Parquet with item_ids, and user_id if known.")]
Out = Annotated[Path | None, typer.Option("--out", help="JSONL or Parquet for the answers to --histories.")]
Length = Annotated[int | None, typer.Option("-k", min=1, help="Items per list.")]
KeepHistory = Annotated[bool, typer.Option("--keep-history", help="Items of the history may come again.")]
Allow = Annotated[Path | None, typer.Option(help="File of item ids, one a line: only these.")]
Deny = Annotated[Path | None, typer.Option(help="File of item ids, one a line: never these.")]
Where = Annotated[
    list[str] | None,
    typer.Option(help="Only items with column=value, column!=value, column<=number or column>=number; repeatable."),
]


def recommend(
    run: RunArgument,
    history: History = None,
    histories: Histories = None,
    out: Out = None,
    k: Length = None,
    keep_history: KeepHistory = False,
    allow: Allow = None,
    deny: Deny = None,
    where: Where = None,
    beam_size: Annotated[int | None, typer.Option(min=1, help="Candidates kept per level.")] = None,
    rank: Annotated[str | None, typer.Option(help="codes or blend; by default as the run says.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Search on until a list by codes is proven.")] = False,
    max_per_prefix: Annotated[
        int | None, typer.Option(min=1, help="At most so many items that share their first codes.")
    ] = None,
    prefix_depth: Annotated[int | None, typer.Option(min=1, help="How many first codes that are.")] = None,
    as_json: AsJson = False,
) -> None:
    """Recommend items for one history, or for a file of histories."""
    from genrec.recommendation.files import recommend_file
    from genrec.recommendation.recommender import Recommender

    _check_sources(history, histories, out)
    recommender = Recommender.from_pretrained(run)
    options = {
        **filters(k, keep_history, allow, deny, where),
        "beam_size": beam_size,
        "rank": rank,
        "exact": exact,
        "max_per_prefix": max_per_prefix,
        "prefix_depth": prefix_depth,
    }
    if histories is not None and out is not None:
        print_json(_asked(recommend_file, recommender, histories, out, **options))
        return
    found = _asked(recommender.recommend, [_ids_of(history)], **options)[0]
    if exact and not found.exact:
        print(f"only the first {found.certified} are proven; raise recommendation.exact_beam_budget", file=sys.stderr)
    _show(recommender, found, as_json=as_json)


def sample(
    run: RunArgument,
    seed: Annotated[int, typer.Option(help="The same seed draws the same items.")],
    history: History = None,
    histories: Histories = None,
    out: Out = None,
    k: Length = None,
    temperature: Annotated[float, typer.Option(help="Below 1, likely items become likelier.")] = 1.0,
    keep_history: KeepHistory = False,
    allow: Allow = None,
    deny: Deny = None,
    where: Where = None,
    as_json: AsJson = False,
) -> None:
    """Draw different items by their probability, for one history or for a file of histories."""
    from genrec.recommendation.files import sample_file
    from genrec.recommendation.recommender import Recommender

    _check_sources(history, histories, out)
    recommender = Recommender.from_pretrained(run)
    options = {**filters(k, keep_history, allow, deny, where), "seed": seed, "temperature": temperature}
    if histories is not None and out is not None:
        print_json(_asked(sample_file, recommender, histories, out, **options))
        return
    found = _asked(recommender.sample, [_ids_of(history)], **options)[0]
    if not found.exact:
        print(f"only the first {found.certified} are sure; raise recommendation.exact_beam_budget", file=sys.stderr)
    _show(recommender, found, as_json=as_json)


def explain(
    run: RunArgument,
    history: Annotated[str, typer.Option(help="Item ids, oldest first, separated by commas.")],
    item: Annotated[str, typer.Option(help="The item_id to explain.")],
    k: Length = None,
    as_json: AsJson = False,
) -> None:
    """Say, code by code, why an item scores what it does after a history."""
    from genrec.recommendation.recommender import Recommender

    explained = Recommender.from_pretrained(run).explain(_ids_of(history), item, k=k)
    if as_json:
        print_json(explained.as_dict())
    else:
        print(explained.table())


def print_json(value: Any) -> None:
    """One line on stdout."""
    print(json.dumps(value, ensure_ascii=False))


def _check_sources(history: str | None, histories: Path | None, out: Path | None) -> None:
    if (history is None) == (histories is None):
        raise ConfigError("give either --history ID,ID,... or --histories FILE")
    if (histories is None) != (out is None):
        raise ConfigError("--histories FILE and --out FILE go together")


def filters(
    k: int | None, keep_history: bool, allow: Path | None, deny: Path | None, where: list[str] | None
) -> dict[str, Any]:
    """The options that all lists have, from those of the command line."""
    from genrec.recommendation.files import read_item_ids
    from genrec.recommendation.where import where_of

    return {
        "k": k,
        "exclude_history": False if keep_history else None,
        "allow": None if allow is None else read_item_ids(allow),
        "deny": None if deny is None else read_item_ids(deny),
        "where": _asked(where_of, where) if where else None,
    }


def _asked(ask: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """What it answers; a refusal is bad input."""
    try:
        return ask(*arguments, **options)
    except ValueError as error:
        raise DataError(str(error)) from error


def _show(recommender: "Recommender", found: "RecommendationList", *, as_json: bool) -> None:
    if found.ignored:
        print(f"ignored, not in the catalogue: {', '.join(found.ignored)}", file=sys.stderr)
    if as_json:
        print_json(
            {
                "recommendations": [entry._asdict() for entry in found],
                "certified": found.certified,
                "exact": found.exact,
                "ignored": list(found.ignored),
            }
        )
        return
    for place, entry in enumerate(found, start=1):
        title = recommender.catalogue.title(recommender.catalogue.row_of[entry.item_id])
        print(f"{place:>3}  {entry.item_id}  {entry.score:8.3f}  {title}")


def _ids_of(history: str | None) -> list[str]:
    """The ids in a text with commas."""
    return [part.strip() for part in (history or "").split(",") if part.strip()]

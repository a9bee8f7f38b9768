"""A served catalogue that changes under load: whether a call fails, or a list holds what its version does not have.

    python -m benchmarks.changes RUN --json FILE

On a copy of the run: items are inserted and removed one after the other and everything is read anew in between, while
other calls ask for lists without a pause, half of them among items that come and go. Each list names its version, and
must hold items of that version only; it may not be older than the newest one that was told before the call was sent.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import yaml

from benchmarks.exact import test_histories
from benchmarks.http_load import Caller, request
from benchmarks.machine import command_line, machine
from benchmarks.serving import served
from genrec import Recommender
from genrec.atomic_files import atomic_json
from genrec.serving.keys import API_KEY
from tokenizer.plain_tables import plain_table

KEY = "of this benchmark alone"
_HEADERS = f"X-API-Key: {KEY}\r\n"
_MOST_ALLOWED = 50
MOST_CHARS = 20_000
"""Of a field that a server takes by default."""


@dataclass
class Stock:
    """Which items each version has."""

    item_ids: tuple[str, ...]
    """Of the version at the start, which stay."""
    coming_and_going: dict[str, list[tuple[int, bool]]] = field(default_factory=dict)
    """Of each other item: the versions that put it in (True) or took it out, in their order."""
    newest: int = 0
    """That a change has told."""

    def note(self, version: int, item_id: str, *, is_in: bool) -> None:
        """What a change has told."""
        self.coming_and_going.setdefault(item_id, []).append((version, is_in))
        self.newest = version

    def present(self) -> list[str]:
        """Items in stock that came after the start."""
        return [item_id for item_id, events in self.coming_and_going.items() if events[-1][1]]

    def has(self, item_id: str, version: int) -> bool:
        """Whether an item that came after the start is in that version."""
        told = [is_in for since, is_in in self.coming_and_going.get(item_id, ()) if since <= version]
        return bool(told) and told[-1]


@dataclass
class Answer:
    """A list that came back."""

    asked_after: int
    """The newest version that was known when it was asked for."""
    version: int
    item_ids: list[str]
    seconds: float


class Readers:
    """Calls that ask for lists, each again as soon as it is answered."""

    def __init__(self, caller: Caller, stock: Stock, histories: Sequence[Sequence[str]], chance: random.Random) -> None:
        self.caller = caller
        self.stock = stock
        self.histories = histories
        self.chance = chance
        self.statuses: Counter[int] = Counter()
        self.refused: list[str] = []
        self.answers: list[Answer] = []
        self.is_over = False
        self.asking = 0

    def ask(self) -> None:
        """One call, and all that follow it."""
        self.asking += 1
        body: dict[str, Any] = {"history": list(self.chance.choice(self.histories)), "k": 20}
        newcomers = self.stock.present()
        if newcomers and self.chance.random() < 0.5:
            known = self.chance.sample(self.stock.item_ids, 20)
            body["allow"] = known + self.chance.sample(newcomers, min(len(newcomers), _MOST_ALLOWED))
        asked_after, began = self.stock.newest, monotonic()

        def answered(status: int, raw: bytes) -> None:
            self.asking -= 1
            self.statuses[status] += 1
            if status == 200:
                made = json.loads(raw)
                item_ids = [entry["item_id"] for entry in made["items"]]
                self.answers.append(Answer(asked_after, made["version"], item_ids, monotonic() - began))
            else:
                self.refused.append(raw.decode(errors="replace")[:300])
            if not self.is_over:
                self.ask()

        self.caller.send(request("POST", "/v1/recommend", json.dumps(body).encode(), headers=_HEADERS), answered)

    async def end(self) -> None:
        """Let what was asked be answered."""
        self.is_over = True
        while self.asking:
            await asyncio.sleep(0.01)


class Changer:
    """Changes the catalogue, one change after the other."""

    def __init__(self, caller: Caller, stock: Stock, new_items: "NewItems") -> None:
        self.caller = caller
        self.stock = stock
        self.new_items = new_items
        self.statuses: Counter[str] = Counter()
        self.refused: list[str] = []
        self.seconds: dict[str, list[float]] = {"insert": [], "remove": [], "reload": []}
        self.inserted = 0

    async def insert(self) -> None:
        """One item more."""
        item = self.new_items.item(self.inserted)
        self.inserted += 1
        told = await self._call("insert", "POST", "/v1/items", json.dumps({"items": [item]}).encode())
        if told:
            self.stock.note(told["version"], item["item_id"], is_in=True)

    async def remove(self, item_id: str) -> None:
        """One item less."""
        told = await self._call("remove", "DELETE", f"/v1/items/{item_id}", b"")
        if told:
            self.stock.note(told["version"], item_id, is_in=False)

    async def reload(self) -> None:
        """All of it read anew."""
        told = await self._call("reload", "POST", "/v1/reload", b"{}")
        if told:
            self.stock.newest = told["version"]

    async def _call(self, kind: str, method: str, path: str, body: bytes) -> dict[str, Any] | None:
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        began = monotonic()
        self.caller.send(
            request(method, path, body, headers=_HEADERS), lambda status, raw: answer.set_result((status, raw))
        )
        status, raw = await answer
        self.seconds[kind].append(monotonic() - began)
        self.statuses[f"{kind} {status}"] += 1
        if status == 200:
            return json.loads(raw)
        self.refused.append(raw.decode(errors="replace")[:300])
        return None


class NewItems:
    """Items that the run never had, each much like one that it has."""

    def __init__(self, run: Path, chance: random.Random) -> None:
        self.chance = chance
        recommender = Recommender.from_pretrained(run)
        self.fields = recommender.catalogue.fields
        self.item_ids: tuple[str, ...] = tuple(recommender.catalogue.item_ids.tolist())
        config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
        is_embedded_elsewhere = config.get("embeddings", {}).get("file") is not None
        self.vectors = np.load(run / "embeddings.npy", mmap_mode="r") if is_embedded_elsewhere else None

    def item(self, number: int) -> dict[str, Any]:
        """The item of this number, as it is inserted."""
        row = self.chance.randrange(len(self.item_ids))
        item: dict[str, Any] = {
            "item_id": f"newcomer-{number}",
            "fields": {name: texts[row][:MOST_CHARS] for name, texts in self.fields.items() if texts[row]},
        }
        if self.vectors is not None:
            item["vector"] = self.vectors[row].tolist()
        return item


def main() -> None:
    """Change and ask, print what came of it, write the JSON; exit code 1 if anything was wrong."""
    options = _parser().parse_args()
    os.environ[API_KEY] = KEY
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(shutil.copytree(options.run, Path(scratch) / options.run.name))
        with served(run, threads=options.threads, core=None) as server:
            figures = asyncio.run(measured(server.port, run, options))
    report = {"command": command_line("benchmarks.changes"), **machine(), **figures}
    print(plain_table(("", ""), [(name, str(figure)) for name, figure in figures.items() if name != "seconds"]))
    if options.json:
        atomic_json(options.json, report)
    if figures["failures"]:
        raise SystemExit("\n".join(figures["failures"]))


async def measured(port: int, run: Path, options: argparse.Namespace) -> dict[str, Any]:
    """All changes under load."""
    chance = random.Random(options.seed)
    new_items = NewItems(run, chance)
    stock = Stock(new_items.item_ids)
    caller = Caller(port, max_connections=options.readers + 1)
    changer, readers = Changer(caller, stock, new_items), Readers(caller, stock, test_histories(run, 1000), chance)
    for _ in range(options.readers):
        readers.ask()
    every = max(1, options.changes // max(1, options.reloads))
    for number in range(options.changes):
        present = stock.present()
        if len(present) > _MOST_ALLOWED or (present and chance.random() < 0.4):
            await changer.remove(chance.choice(present))
        else:
            await changer.insert()
        if number % every == every - 1:
            await changer.reload()
    await readers.end()
    caller.close()
    return {
        "changes": dict(changer.statuses),
        "calls": {str(status): count for status, count in readers.statuses.items()},
        "versions": stock.newest,
        "versions_answered": len({answer.version for answer in readers.answers}),
        "lists_with_newcomers": sum(
            any(item in stock.coming_and_going for item in answer.item_ids) for answer in readers.answers
        ),
        "median_ms": {kind: 1000 * float(np.median(each)) for kind, each in changer.seconds.items() if each},
        "longest_ms": {kind: 1000 * max(each) for kind, each in changer.seconds.items() if each},
        "p99_ms_of_lists": 1000 * float(np.quantile([answer.seconds for answer in readers.answers], 0.99)),
        "failures": failures(changer, readers),
    }


def failures(changer: Changer, readers: Readers) -> list[str]:
    """What must not have happened."""
    stock, known = readers.stock, set(readers.stock.item_ids)
    wrong = [
        answer
        for answer in readers.answers
        if any(item not in known and not stock.has(item, answer.version) for item in answer.item_ids)
    ]
    stale = [answer for answer in readers.answers if answer.version < answer.asked_after]
    refused = [f"refused: {text}" for text in (changer.refused + readers.refused)[:3]]
    found = {
        f"{len(wrong)} lists with items that their version does not have": wrong,
        f"{len(stale)} lists older than what was known when they were asked for": stale,
        f"{sum(count for status, count in readers.statuses.items() if status != 200)} calls failed": readers.refused,
        f"{len(changer.refused)} changes failed": changer.refused,
    }
    return [text for text, is_true in found.items() if is_true] + refused


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="A served catalogue that changes under load.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--changes", type=int, default=1000, help="inserts and removals")
    parser.add_argument("--reloads", type=int, default=100)
    parser.add_argument("--readers", type=int, default=8, help="calls at a time")
    parser.add_argument("--threads", type=int, default=1, help="of the server")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser


if __name__ == "__main__":
    main()

"""A run behind a port, until it is told to end."""

from collections.abc import Sequence
from pathlib import Path

import torch
import uvicorn
import yaml

from genrec.artifacts import RunFolder
from genrec.recommendation.recommender import best_device
from genrec.serving.app import make_app
from genrec.serving.config import ServingConfig
from genrec.serving.live_catalogue import LiveCatalogue
from genrec.serving.shortcut import Shortcut
from genrec.strict_loading import build
from genrec.yaml_document import Document, apply_override


def make_server(
    run: Path, *, host: str, port: int, overrides: Sequence[str] = (), threads: int | None = None
) -> uvicorn.Server:
    """A server of the run that is ready to `run()`.

    On SIGTERM it takes no more connections, answers what it has taken on, finishes a change that runs, and ends.

    Raises:
        InputError: the run is not whole, or an override is not as documented.
    """
    folder = RunFolder.open(run)
    limits = serving_config(folder, overrides)
    if threads is not None:
        torch.set_num_threads(threads)
    live = LiveCatalogue(folder, device=best_device(), max_batch=limits.max_batch)
    app = make_app(live, limits, run=folder.path.name)
    config = uvicorn.Config(
        Shortcut(app, app.state.endpoints),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,  # nothing depends on who calls
        server_header=False,
        timeout_graceful_shutdown=max(1, round(limits.drain_seconds)),
    )
    return uvicorn.Server(config)


def serving_config(folder: RunFolder, overrides: Sequence[str] = ()) -> ServingConfig:
    """The section `serving` of the run's config, after overrides such as `serving.deadline_ms=500`."""
    section = yaml.safe_load(folder.config.read_text(encoding="utf-8")).get("serving", {})
    document = Document(f"{folder.config}, section serving", section)
    for override in overrides:
        apply_override(document, override.removeprefix("serving."))
    return build(ServingConfig, document)

"""The same server many times over by Ray Serve: on one machine, or on a cluster whose machines share a disk.

Each replica has the run, a micro-batcher and the bounds of `serving` of its own. A change of the catalogue that one of
them has made, or a process beside them, is seen by the others within `serving.follow_seconds`.
"""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from genrec.artifacts import RunFolder
from genrec.errors import ConfigError
from genrec.serving.config import ServingConfig
from genrec.serving.keys import API_KEY
from genrec.serving.server import serving_config
from genrec.stopping import end_on_sigterm

FOLLOW_SECONDS = 2.0
"""Where the config leaves it at 0: replicas must follow one another."""
_NAME = "genrec"


def application(args: dict[str, Any]) -> Any:
    """What Ray Serve runs; also for `import_path: genrec.serving.many_machines:application` of its own config files.

    `args`: `run`, a folder that all machines see; optionally `replicas`, `threads` and `gpus` of each, and `overrides`
    such as ["serving.deadline_ms=500"].

    Raises:
        InputError: Ray is not installed, the run is not whole, or an argument is not as documented.
    """
    serve = _ray_serve()
    given = {"replicas": 1, "threads": 1, "gpus": 0.0, "overrides": (), **args}
    unknown = set(given) - {"run", "replicas", "threads", "gpus", "overrides"}
    if unknown or "run" not in given:
        raise ConfigError(f"expected run, replicas, threads, gpus and overrides, got {', '.join(sorted(args))}")
    run, threads = Path(given["run"]).absolute(), int(given["threads"])
    limits = serving_config(RunFolder.open(run), given["overrides"])
    if not limits.follow_seconds:
        limits = replace(limits, follow_seconds=FOLLOW_SECONDS)

    def build() -> Any:  # Ray tells a builder from an application by its being a plain function
        return replica(str(run), limits, threads)

    key = {API_KEY: os.environ[API_KEY]} if os.environ.get(API_KEY) else {}
    deployment = serve.deployment(
        serve.ingress(build)(),
        name=_NAME,
        num_replicas=int(given["replicas"]),
        max_ongoing_requests=2 * limits.queue_size,  # what is too much is refused by our own queue, with Retry-After
        graceful_shutdown_timeout_s=limits.drain_seconds,
        ray_actor_options={
            "num_cpus": threads,
            "num_gpus": float(given["gpus"]),
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(threads), **key}},
        },
    )
    return deployment.bind()


def replica(run: str, limits: ServingConfig, threads: int) -> Any:
    """The application of one replica; made where it runs."""
    import torch

    from genrec.recommendation.recommender import best_device
    from genrec.serving.app import make_app
    from genrec.serving.live_catalogue import LiveCatalogue
    from genrec.serving.shortcut import Shortcut

    torch.set_num_threads(threads)
    folder = RunFolder.open(run)
    live = LiveCatalogue(folder, device=best_device(), max_batch=limits.max_batch)
    app = make_app(live, limits, run=folder.path.name)
    return Shortcut(app, app.state.endpoints)


def serve_replicas(
    run: Path,
    *,
    host: str,
    port: int,
    replicas: int,
    threads: int,
    gpus: float = 0.0,
    address: str | None = None,
    overrides: Sequence[str] = (),
    on_ready: Callable[[], object] = lambda: None,
) -> None:
    """Serve until the program is told to end; then what was taken on is answered.

    `address`: of a Ray cluster, such as "auto"; None: this machine. `on_ready` is called when all replicas answer.

    Raises:
        InputError: as `application`.
    """
    serve = _ray_serve()
    import ray  # pyright: ignore[reportMissingImports]

    told = {"run": str(run), "replicas": replicas, "threads": threads, "gpus": gpus, "overrides": list(overrides)}
    made = application(told)
    ray.init(address=address, ignore_reinit_error=True, configure_logging=False, log_to_driver=False)
    try:
        serve.start(http_options={"host": host, "port": port})
        serve.run(made, name=_NAME, route_prefix="/")
        end_on_sigterm()  # Ray has put a handler of its own in its place, which aborts
        on_ready()
        threading.Event().wait()
    finally:
        serve.delete(_NAME)
        if address is None:  # a cluster may serve others, too
            serve.shutdown()
        ray.shutdown()


def _ray_serve() -> Any:
    try:
        from ray import serve  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError('Ray is not installed; pip install "genrec[ray,serve]", or leave out --replicas') from error
    return serve

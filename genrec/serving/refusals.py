"""Questions that were refused, or cannot be answered, as problems that go over the wire."""

from collections.abc import Iterator
from contextlib import contextmanager

from genrec.errors import UnknownItemError
from genrec.serving.batcher import ClosingError, DeadlineError, QueueFullError
from genrec.serving.bodies import CallError


@contextmanager
def refusals_told(*, unknown: tuple[int, str] = (422, "unknown_items")) -> Iterator[None]:
    """Inside, what a batcher or a recommender raises becomes a `CallError`.

    `unknown`: status and word for an item, or a prefix, that the catalogue does not have.
    """
    try:
        yield
    except QueueFullError as error:
        raise CallError(429, "queue_full", str(error), retry_after_s=error.retry_after_s) from error
    except DeadlineError as error:
        raise CallError(503, "deadline", str(error), retry_after_s=1) from error
    except ClosingError as error:
        raise CallError(503, "closing", str(error), retry_after_s=1) from error
    except UnknownItemError as error:
        raise CallError(*unknown, str(error)) from error
    except ValueError as error:
        raise CallError(422, "cannot_be_done", str(error)) from error

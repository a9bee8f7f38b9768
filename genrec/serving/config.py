"""How much a server takes on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServingConfig:
    """Bounds of a server; whatever lies beyond is refused in words, and costs next to nothing."""

    max_batch: int = 64
    """Histories that are searched together; a call with more of them is answered in several batches."""
    queue_size: int = 512
    """Histories that may wait. Further calls get 429 with `Retry-After`."""
    deadline_ms: int = 1000
    """A call that is not answered within that time gets 503."""
    drain_seconds: float = 15.0
    """After SIGTERM: how long calls that were taken on may still take."""
    max_body_bytes: int = 1_000_000
    """Larger bodies get 413, and are not read to their end."""
    max_requests: int = 64
    """Histories of one call."""
    max_k: int = 200
    max_history: int = 2000
    """Items of a history."""
    max_listed: int = 20_000
    """Items of an allow or deny list."""
    max_items: int = 100
    """Items of one insert."""
    max_field_chars: int = 20_000
    """Characters of each field of an inserted item."""
    change_queue: int = 16
    """Changes of the catalogue that may wait, with the one that is made. Further ones get 503 with `Retry-After`."""
    follow_seconds: float = 0.0
    """How often to look whether another process has changed the run, and to read it anew if so; 0: never."""
    exact: bool = True
    """Whether calls may ask for proven lists, which take up to `recommendation.exact_beam_budget` beams a history."""

    def __post_init__(self) -> None:
        counts = ("max_batch", "queue_size", "deadline_ms", "max_body_bytes", "max_requests", "max_k", "max_history")
        for name in (*counts, "max_listed", "max_items", "max_field_chars", "change_queue"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("drain_seconds", "follow_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if self.queue_size < self.max_requests:
            raise ValueError(
                f"queue_size must be at least max_requests ({self.max_requests}), got {self.queue_size}: "
                "otherwise a call of that size could never be taken on"
            )

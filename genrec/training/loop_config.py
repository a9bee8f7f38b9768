"""How long and how a model trains."""

from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

from genrec.generator.losses import LossConfig
from genrec.training.optimizer import OptimizerConfig


@dataclass(frozen=True)
class LoopConfig:
    """How long and how the loop trains a model, whatever it is."""

    epochs: int = 50
    batch_size: int = 128
    """Windows per optimiser step, all processes together."""
    gradient_accumulation: int = 1
    """Parts that a batch is computed in, to save memory; but for what dropout, BERT4Rec's masks and single negatives
    draw, the update is the same."""
    mixed_precision: Literal["fp32", "bf16"] = "fp32"
    validate_every_epochs: int = 5
    patience: int = 4
    """Validations without a better NDCG@10 before the training stops early."""
    validation_users: int = 5000
    """At most so many users validate during training."""
    checkpoint_every_steps: int = 500
    log_every_steps: int = 50
    """Steps between two lines of figures in the log, of means over the targets of all processes."""
    max_cpu_hours: float | None = None
    """Processor time, all threads of a process together, after which the training ends with its best weights."""
    tracker: Literal["tensorboard", "wandb"] | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "gradient_accumulation", "validate_every_epochs", "patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("validation_users", "checkpoint_every_steps", "log_every_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_cpu_hours is not None and self.max_cpu_hours <= 0:
            raise ValueError(f"max_cpu_hours must be above 0, or null for no limit; got {self.max_cpu_hours}")


@dataclass(frozen=True)
class TrainingConfig(LoopConfig):
    """How the generator trains."""

    content_start: float = 0.1
    """Root mean square of the items' own vectors before the first step, where they are their content vectors brought to
    the generator's width; 0, or where the semantic IDs are made without content: they start from noise of .02."""
    loss: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.content_start < 0:
            raise ValueError(f"content_start must be at least 0, got {self.content_start}")


Loop = TypeVar("Loop", bound=LoopConfig)


def as_it_matters(config: Loop, *, without_limits: bool = False) -> Loop:
    """The config without what changes no weight, so that two of them are equal where their trainings are.

    `without_limits`: also without the time limit, which changes no step but how many there are.
    """
    plain = LoopConfig()
    same = replace(
        config,
        checkpoint_every_steps=plain.checkpoint_every_steps,
        log_every_steps=plain.log_every_steps,
        tracker=plain.tracker,
    )
    return replace(same, max_cpu_hours=None) if without_limits else same

"""How a run recommends."""

from dataclasses import dataclass

from genrec.recommendation.candidates import Rank
from trie.scores import Score


@dataclass(frozen=True)
class RecommendationConfig:
    """How a run recommends unless a request says otherwise."""

    k: int = 10
    beam_size: int = 50
    exclude_history: bool = True
    """False where people come back to the same items, as in groceries."""
    rank: Rank = "blend"
    blend_weight: float | None = None
    """Weight of the item head in a blend, 0..1; None: chosen on the validation cases at the end of the training."""
    score: Score = "joint"
    batch_size: int = 256
    """Histories searched at once."""
    added_items_boost: float = 1.0
    """Times as likely as their codes say are the items that came after the training; above 1 they are shown more."""
    exact_beam_budget: int = 4096
    """The widest beam that may be spent on one history to prove its list (`exact`); no proof within it: it says so."""
    cuda_graphs: bool = True
    """Whether a GPU replays searches as wide as `beam_size` from CUDA graphs, which take memory for each batch size."""

    def __post_init__(self) -> None:
        for name in ("k", "beam_size", "batch_size", "exact_beam_budget"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.blend_weight is not None and not 0 <= self.blend_weight <= 1:
            raise ValueError(f"blend_weight must lie between 0 and 1, got {self.blend_weight}")
        if not self.added_items_boost > 0:
            raise ValueError(f"added_items_boost must be above 0, got {self.added_items_boost}")

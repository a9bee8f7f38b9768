"""How a run recommends."""

from dataclasses import dataclass

from genrec.recommendation.candidates import Rank
from trie.scores import Score


@dataclass(frozen=True)
class RecommendationConfig:
    """How a run recommends unless a request says otherwise."""

    k: int = 10
    beam_size: int = 50
    candidates: int = 200
    """Items among which a blend chooses: the likeliest by their codes of those below the last prefixes in the beam, for
    which the decoder need not be asked again. At least as many as the beam is wide."""
    beam_mass: float = 1.0
    """Where the model is certain, the beam is narrower: prefixes are kept until they hold this share of all
    probability, but enough for the list (`trie.adaptive`). 1: always the whole beam, as capped and exact lists have.
    On a GPU, where shapes are fixed, it saves nothing."""
    exclude_history: bool = True
    """False where people come back to the same items, as in groceries."""
    rank: Rank = "blend"
    max_per_prefix: int | None = None
    """At most so many items of a list that share their first codes, so that lists are more diverse; None: no cap. For
    recommended lists; samples are not capped."""
    prefix_depth: int = 1
    """How many first codes that are."""
    blend_weight: float | None = None
    """Weight of the item head in a blend, 0..1; None: chosen on the validation cases at the end of the training."""
    score: Score = "catalog"
    batch_size: int = 256
    """Histories searched at once."""
    added_items_boost: float = 1.0
    """Times as likely as their codes say are the items that came after the training; above 1 they are shown more."""
    exact_beam_budget: int = 4096
    """The widest beam that may be spent on one history to prove its list (`exact`); no proof within it: it says so."""
    cuda_graphs: bool = True
    """Whether a GPU replays searches as wide as `beam_size` from CUDA graphs, which take memory for each batch size."""

    @property
    def weight_of_item_head(self) -> float:
        """The blend's weight; a half where none has been chosen."""
        return 0.5 if self.blend_weight is None else self.blend_weight

    def __post_init__(self) -> None:
        counts = ("k", "beam_size", "candidates", "max_per_prefix", "prefix_depth", "batch_size", "exact_beam_budget")
        for name in counts:
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.blend_weight is not None and not 0 <= self.blend_weight <= 1:
            raise ValueError(f"blend_weight must lie between 0 and 1, got {self.blend_weight}")
        if not 0 < self.beam_mass <= 1:
            raise ValueError(f"beam_mass must lie above 0 and up to 1, got {self.beam_mass}")
        if not self.added_items_boost > 0:
            raise ValueError(f"added_items_boost must be above 0, got {self.added_items_boost}")

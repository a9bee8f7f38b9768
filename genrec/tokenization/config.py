"""Which semantic IDs the items of an experiment get."""

from dataclasses import dataclass, field
from typing import Any, Literal

from genrec.data.collaborative import CollaborativeConfig
from tokenizer import Collisions, FSQConfig, HierarchicalKMeansConfig, OPQConfig, ResidualKMeansConfig, RQVAEConfig
from tokenizer.preparation import PreparationKind

TokenizerKind = Literal["rqvae", "residual_kmeans", "fsq", "opq", "random", "sequential", "collaborative", "hybrid"]

_SECTION_OF = {
    "rqvae": "rqvae",
    "residual_kmeans": "residual_kmeans",
    "fsq": "fsq",
    "opq": "opq",
    "collaborative": "hierarchical_kmeans",
    "hybrid": "hierarchical_kmeans",
}
BLENDED_KINDS = ("rqvae", "residual_kmeans", "fsq", "opq")


@dataclass(frozen=True)
class CollaborativeTreeConfig(HierarchicalKMeansConfig):
    """How the tree of clusters is grown: along all dimensions as they are, since the first of these say most."""

    preparation: PreparationKind = "centre"
    projection_dim: int | None = None


@dataclass(frozen=True)
class TokenizerConfig:
    """Which semantic IDs the items get: learned from what is known of them, or read from a file.

    kind: `rqvae`, `residual_kmeans`, `fsq` and `opq` read the items' content; `collaborative` clusters items by whom
        they are taken with, `hybrid` does so and ends in a code by chance; `sequential` numbers the items in the order
        in which they first appear, `random` gives codes by chance: baselines. What reads interactions reads those of
        the training part only.
    num_levels, codebook_size: codes of an ID, and possible values of each.
    codes: ready-made codes (JSON item_id -> list of codes, .npz, or Parquet, also a folder of it); nothing is fitted
        then.
    collisions: items with equal codes are told apart by an `extra_code`; by a last code that is free near theirs
        (`nearest_free`) or that evens out the use of the last level (`balanced`); or stay together (`keep`). None:
        `nearest_free` where the codes are fitted to content, else `extra_code`.
    collaborative_weight: share of the variance that collaborative vectors have beside the content's, 0 to below 1,
        where the kind reads content; None: a half there.
    """

    kind: TokenizerKind = "opq"
    num_levels: int = 3
    codebook_size: int = 256
    codes: str | None = None
    collisions: Collisions | None = None
    collaborative_weight: float | None = None
    collaborative: CollaborativeConfig = field(default_factory=CollaborativeConfig)
    rqvae: RQVAEConfig = field(default_factory=RQVAEConfig)
    residual_kmeans: ResidualKMeansConfig = field(default_factory=ResidualKMeansConfig)
    fsq: FSQConfig = field(default_factory=FSQConfig)
    opq: OPQConfig = field(default_factory=OPQConfig)
    hierarchical_kmeans: CollaborativeTreeConfig = field(default_factory=CollaborativeTreeConfig)
    """Of the kinds collaborative and hybrid."""

    def __post_init__(self) -> None:
        if self.num_levels < 1:
            raise ValueError(f"num_levels must be at least 1, got {self.num_levels}")
        if self.codebook_size < 2:
            raise ValueError(f"codebook_size must be at least 2, got {self.codebook_size}")
        if self.codes is not None and self.collisions in ("nearest_free", "balanced"):
            raise ValueError(
                f"collisions {self.collisions!r} moves items to codes near theirs, which only a fitted tokenizer "
                "knows; with ready-made codes choose extra_code or keep"
            )
        if self.collaborative_weight is not None and not 0 <= self.collaborative_weight < 1:
            raise ValueError(
                f"collaborative_weight must be at least 0 and below 1, got {self.collaborative_weight}; for "
                "interactions alone choose kind: collaborative"
            )
        if self.collaborative_weight and self.kind not in BLENDED_KINDS:
            raise ValueError(
                f"collaborative_weight blends into the content that {', '.join(BLENDED_KINDS)} read, not into kind "
                f"{self.kind}; leave it at 0"
            )

        prepared = getattr(self.section, "preparation", None)
        if self.codes is None and self.blended_weight and prepared != type(self.section)().preparation:
            raise ValueError(
                f"{_SECTION_OF[self.kind]}.preparation is {prepared!r}, but a blend is prepared as such (its content "
                "standardised); set collaborative_weight to 0, or leave preparation out"
            )

    @property
    def reads_content(self) -> bool:
        """Whether the items must be embedded."""
        return self.codes is None and self.kind != "sequential"

    @property
    def reads_collaborative_vectors(self) -> bool:
        """Whether vectors are made of the training sequences."""
        return self.codes is None and (self.kind in ("collaborative", "hybrid") or self.blended_weight > 0)

    @property
    def blended_weight(self) -> float:
        """The collaborative weight as it applies: 0 to a kind that reads no content."""
        if self.kind not in BLENDED_KINDS:
            return 0.0
        return 0.5 if self.collaborative_weight is None else self.collaborative_weight

    @property
    def chosen_collisions(self) -> Collisions:
        """What happens to items with equal codes."""
        if self.collisions is not None:
            return self.collisions
        return "nearest_free" if self.codes is None and self.kind in BLENDED_KINDS else "extra_code"

    @property
    def section(self) -> Any:
        """The options of the chosen kind; None if it has none."""
        return getattr(self, _SECTION_OF[self.kind]) if self.kind in _SECTION_OF else None

    def used(self) -> dict[str, Any]:
        """Everything that the codes depend on, and nothing else."""
        if self.codes is not None:
            return {"codes": self.codes, "collisions": self.chosen_collisions}
        used = {name: getattr(self, name) for name in ("kind", "num_levels", "codebook_size")}
        used |= {"collisions": self.chosen_collisions}
        used |= {"collaborative_weight": self.blended_weight, "options": self.section}
        used |= {"blend_by_default": self.collaborative_weight is None and self.kind in BLENDED_KINDS}
        return used | ({"collaborative": self.collaborative} if self.reads_collaborative_vectors else {})

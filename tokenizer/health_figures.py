"""The figures of a codebook and how they read: alarm, notes, line, table, JSON."""

from dataclasses import asdict, dataclass
from typing import Any

from tokenizer.plain_tables import percent, plain_table

LEAST_USAGE = 0.5
LEAST_PERPLEXITY = 0.1
"""Below these the alarm goes off. Of the codes that could be in use; residual quantisers in order have .7 and more."""

NOTED_PERPLEXITY = 0.5
"""Of the codes that could be in use."""
NOTED_DEAD = 0.1
"""Of a level's codes."""
NOTED_SHARING = 0.1
"""Of the items; three levels of 256 codes leave 2.4 % of 12,000 items without codes of their own."""
NOTED_MOVED = 0.1
"""Of the items."""
NOTED_AGREEMENT = 0.05
"""Adjusted for chance; below, the first code is next to random with respect to the categories."""

FEW_CODES = (
    "check that the embeddings differ between items, standardise or whiten them (preparation), lower learning_rate, "
    "raise reset_until_epoch or epochs, take a smaller codebook_size, or fit ResidualKMeans"
)
UNEVEN_CODES = (
    "a few codes hold nearly all items and outliers the others: standardise or whiten the embeddings, take fewer "
    "axes (level_axes, latent_dim), leave out items without content, or fit ResidualKMeans"
)


@dataclass(frozen=True)
class Health:
    """Figures of one tokenizer on one catalogue, per level of the codes before any extra code (levels from 0)."""

    num_items: int
    level_sizes: tuple[int, ...]
    codes_used: tuple[int, ...]
    dead_codes: tuple[int, ...]
    """Codes that no item has."""
    usage: tuple[float, ...]
    """Share of the codes in use, of those that could be: min(level size, items)."""
    perplexity: tuple[float, ...]
    """exp(entropy) of the codes: how many equally used codes carry as much."""
    gini: tuple[float, ...]
    """Unevenness of the uses over all codes of the level: 0 all alike, towards 1 one code has everything."""
    distinct_prefixes: tuple[int, ...]
    """Prefixes of each length that some item has."""
    prefix_collisions: tuple[float, ...]
    """Share of items that have their codes up to this level in common with another item."""
    largest_prefix: tuple[int, ...]
    """Items under the fullest prefix of each length."""
    unique_share: float
    """Share of items whose codes no other item has."""
    id_length: int | None
    """Codes of a final ID, an extra one included; this and the next three come from the table of IDs, if given."""
    extra_codes: int
    """Size of the level that tells colliding items apart; 0 without one."""
    shared_ids: int | None
    """Items whose final ID another item has too."""
    moved_items: int | None
    """Items whose final ID begins with other codes than the tokenizer gave them."""
    relative_error: float | None
    """Squared error of the reconstruction over that of the mean embedding: 0 is perfect, 1 is useless."""
    cosine: float | None
    """Mean cosine between embedding and reconstruction."""
    category_agreement: float | None
    """Normalised mutual information of the first level's codes with the categories; rises with the number of codes."""
    category_agreement_adjusted: float | None
    """The same less what chance gives: about 0 for random codes, 1 for the same groups."""
    learned: bool = True
    """Whether the codes are meant to be in even use. Those of trees and baselines are not: no alarm, no notes."""

    @property
    def items_per_prefix(self) -> tuple[float, ...]:
        """Mean number of items under a prefix of each length."""
        return tuple(self.num_items / prefixes for prefixes in self.distinct_prefixes)

    @property
    def alarm(self) -> str | None:
        """What is wrong and what to do, or None."""
        if not self.learned:
            return None
        possible = [min(size, self.num_items) for size in self.level_sizes]
        for level, (used, perplexity, codes) in enumerate(zip(self.codes_used, self.perplexity, possible, strict=True)):
            few, uneven = used < LEAST_USAGE * codes, perplexity < LEAST_PERPLEXITY * codes
            if few or uneven:
                return (
                    f"codebook collapse: level {level} uses {used} of {codes} possible codes (perplexity "
                    f"{perplexity:.1f}), so that many items get alike IDs; {FEW_CODES if few else UNEVEN_CODES}"
                )
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """What could be better, and how; milder than the alarm."""
        if not self.learned:
            return ()
        return tuple(self._notes_on_levels() + self._notes_on_ids() + self._notes_on_meaning())

    def line(self) -> str:
        """One line for the terminal."""
        parts = [
            "x".join(str(size) for size in self.level_sizes) + " codes",
            "usage " + "/".join(f"{100 * share:.0f}" for share in self.usage) + " %",
            "perplexity " + "/".join(f"{value:.0f}" for value in self.perplexity),
            "collisions " + "/".join(f"{100 * share:.1f}" for share in self.prefix_collisions) + " %",
            f"unique {100 * self.unique_share:.1f} %",
        ]
        if self.extra_codes:
            parts.append(f"extra code 0..{self.extra_codes - 1}")
        return ", ".join(parts + self._reconstruction())

    def table(self) -> str:
        """A row per level, a line with the rest, then alarm and notes: plain text."""
        header = "level", "size", "used", "dead", "perplexity", "gini", "prefixes", "items each", "sharing", "largest"
        columns = (
            [str(level) for level in range(len(self.level_sizes))],
            *(
                [f"{number:,}" for number in numbers]
                for numbers in (self.level_sizes, self.codes_used, self.dead_codes)
            ),
            [f"{value:.1f}" for value in self.perplexity],
            [f"{value:.2f}" for value in self.gini],
            _numbers(self.distinct_prefixes),
            [f"{mean:,.1f}" for mean in self.items_per_prefix],
            [percent(share) for share in self.prefix_collisions],
            _numbers(self.largest_prefix),
        )
        parts = [f"{self.num_items:,} items", f"unique codes {percent(self.unique_share)}", *self._ids()]
        parts += self._reconstruction()
        if self.category_agreement is not None:
            parts.append(
                f"agreement with categories {self.category_agreement:.3f} "
                f"(adjusted for chance {self.category_agreement_adjusted:z.3f})"
            )
        advice = [f"note: {note}" for note in self.notes]
        if self.alarm:
            advice.insert(0, f"ALARM: {self.alarm}")
        return "\n".join([plain_table(header, list(zip(*columns, strict=True))), ", ".join(parts), *advice])

    def as_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        derived = {"items_per_prefix": self.items_per_prefix, "alarm": self.alarm, "notes": self.notes}
        return {**asdict(self), **derived}

    def _notes_on_levels(self) -> list[str]:
        notes = []
        for level, (size, dead, perplexity) in enumerate(
            zip(self.level_sizes, self.dead_codes, self.perplexity, strict=True)
        ):
            possible = min(size, self.num_items)
            if size > self.num_items:
                notes.append(
                    f"level {level} has {size:,} codes for {self.num_items:,} items; take a smaller codebook_size"
                )
            elif dead > NOTED_DEAD * size:
                notes.append(
                    f"level {level}: {percent(dead / size)} of the codes are dead; take a smaller codebook_size, "
                    "or let unused codes be moved for longer"
                )
            if LEAST_PERPLEXITY * possible <= perplexity < NOTED_PERPLEXITY * possible:
                cause = "later levels code outliers; fewer projection axes help" if level else "a few codes hold most"
                notes.append(f"level {level}: perplexity {perplexity:.0f} is far below its {possible:,} codes: {cause}")
        return notes

    def _notes_on_ids(self) -> list[str]:
        notes = []
        if 1 - self.unique_share > NOTED_SHARING:
            notes.append(
                f"{percent(1 - self.unique_share)} of the items share their codes; one level more, a larger "
                "codebook_size or fewer projection axes tell them apart by content"
            )
        if self.moved_items and self.moved_items > NOTED_MOVED * self.num_items:
            notes.append(
                f"{percent(self.moved_items / self.num_items)} of the items were moved to other codes than their "
                "nearest, to have IDs of their own; a larger codebook_size moves fewer"
            )
        if self.shared_ids:
            notes.append(f"{self.shared_ids:,} items share their ID: a generator cannot tell them apart")
        return notes

    def _notes_on_meaning(self) -> list[str]:
        notes = []
        if self.relative_error is not None and self.relative_error >= 1:
            notes.append("decoded codes are no closer to the embeddings than their mean is: were they decoded by it?")
        agreement = self.category_agreement_adjusted
        if agreement is not None and agreement < NOTED_AGREEMENT:
            notes.append(
                f"the first level knows little of the categories (adjusted agreement {agreement:z.2f}); "
                "embed more text, or with another encoder"
            )
        return notes

    def _ids(self) -> list[str]:
        if self.id_length is None:
            return []
        extra = f" (extra code 0..{self.extra_codes - 1})" if self.extra_codes else ""
        return [f"ID length {self.id_length}{extra}", f"shared IDs {self.shared_ids:,}", f"moved {self.moved_items:,}"]

    def _reconstruction(self) -> list[str]:
        figures = {"relative error": self.relative_error, "cosine": self.cosine}
        return [f"{name} {value:.3f}" for name, value in figures.items() if value is not None]


def _numbers(column: tuple[int, ...]) -> list[str]:
    return [f"{number:,}" for number in column]

"""Whether a fitted tokenizer still suits the items that come in."""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Int
from numpy import ndarray

from tokenizer.code_usage import items_per_code, usage_divergence_bits
from tokenizer.contract import ENCODE_ITEMS, Decoder, Tokenizer, checked_codes
from tokenizer.plain_tables import percent, plain_table
from tokenizer.reconstruction import compared, decoded_chunks, squared_spread

MOST_ERROR_RATIO = 1.5
"""New items of the old kind cost a little more than those that the codebooks were fitted to: 4 % with 47 items per
code on made vectors, a quarter with 34 on text vectors. Half as much again is another kind of item."""
FEW_ITEMS_PER_CODE = 32
"""With fewer old items per code, codebooks know these by heart: held-back items of the same kind cost 2.5 times as much
at 8 text vectors per code, so errors say nothing and nothing is alarmed."""
MOST_BEYOND_P95 = 0.2
"""One in twenty is expected: four times as many are a group of items that the codebooks do not know."""
LEAST_NEW_ITEMS = 20
"""Fewer judge nothing: among 20 items of the old kind more than a fifth lie beyond by chance once in 390 times."""
EXACT_SHARE = 1e-9
"""An error below this share of the mean squared distance to the mean is rounding: such items are met exactly."""


@dataclass(frozen=True)
class Drift:
    """New items beside the old ones that the tokenizer was fitted to. Errors are None where codes do not decode."""

    num_old_items: int
    num_new_items: int
    old_error: float | None
    """Mean squared error of the old items over their mean squared distance to the mean."""
    new_error: float | None
    """That of the new items, over the old items' distance: in the same unit."""
    error_ratio: float | None
    """New error over old error; None also where the old items are met exactly."""
    median_ratio: float | None
    """Median squared error of the new over that of the old items; less moved by a few odd ones."""
    share_beyond_p95: float | None
    """Share of new items with an error above the old items' 95th percentile; 0.05 is expected."""
    usage_divergence_bits: float
    """Jensen-Shannon divergence of the first level's code usage: 0 alike, 1 no code in common. Rises by chance where
    new items are few beside the codes."""
    items_on_new_codes: int
    """New items that have, on some level, a code that no old item has."""
    old_items_per_code: float
    """Old items over the codes of the largest level."""

    @property
    def alarm(self) -> str | None:
        """When to refit, or None. Another mix of known kinds of items is none: only what codes cannot express is."""
        if self.share_beyond_p95 is None or self.doubt:
            return None
        reasons = []
        if self.error_ratio is not None and self.error_ratio > MOST_ERROR_RATIO:
            reasons.append(f"their squared error is {self.error_ratio:.2f} times the old items'")
        if self.share_beyond_p95 > MOST_BEYOND_P95:
            reasons.append(f"{percent(self.share_beyond_p95)} of them lie beyond 95 % of the old items")
        if not reasons:
            return None
        remedy = "then fit the tokenizer again on old and new items (all IDs change, so train the generator again too)"
        return (
            f"the codebooks do not know the new items: {' and '.join(reasons)}; check that the same encoder embedded "
            f"them, {remedy}"
        )

    @property
    def doubt(self) -> str | None:
        """Why the errors judge nothing here, or None."""
        if self.num_new_items < LEAST_NEW_ITEMS:
            return f"fewer than {LEAST_NEW_ITEMS} new items judge nothing"
        if self.share_beyond_p95 is not None and self.old_items_per_code < FEW_ITEMS_PER_CODE:
            return (
                f"with {self.old_items_per_code:.1f} old items per code the codebooks know these by heart, so that new "
                f"items of the same kind cost more too; a codebook_size with {FEW_ITEMS_PER_CODE} per code would tell"
            )
        return None

    def table(self) -> str:
        """Old beside new, a line with the rest, then the alarm: plain text."""
        beyond = self.share_beyond_p95
        rows = [
            ["old", f"{self.num_old_items:,}", _figure(self.old_error), *["-"] * 3],
            ["new", f"{self.num_new_items:,}", _figure(self.new_error)],
        ]
        rows[1] += [_figure(self.error_ratio, 2), _figure(self.median_ratio, 2)]
        rows[1].append("-" if beyond is None else percent(beyond))
        if beyond is not None:
            rows[0][3:] = ["1.00", "1.00", "5.0 %"]
        lines = [
            plain_table(["items", "number", "error", "ratio", "median ratio", "beyond p95"], rows),
            f"first-level usage diverges by {self.usage_divergence_bits:.3f} bits, "
            f"{self.items_on_new_codes:,} new items on codes unused before",
        ]
        if self.doubt:
            lines.append(f"note: {self.doubt}")
        return "\n".join(lines + ([f"ALARM: {self.alarm}"] if self.alarm else []))

    def as_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {**asdict(self), "alarm": self.alarm, "doubt": self.doubt}


def drift(
    tokenizer: Tokenizer,
    old_embeddings: Float[ndarray, "old dim"],
    new_embeddings: Float[ndarray, "new dim"],
    *,
    old_codes: Int[ndarray, "coded levels"] | None = None,
) -> Drift:
    """How new items fare under a tokenizer that was fitted to the old ones; a part of the items at a time.

    `old_codes` are what `encode` gave for the old items, where that is known already.

    Raises:
        ValueError: no items, codes of another catalogue, or old items that are all alike.
    """
    if len(old_embeddings) == 0 or len(new_embeddings) == 0:
        raise ValueError(
            f"expected old and new items, but got {len(old_embeddings)} and {len(new_embeddings)}; "
            "leave the comparison out where there are none"
        )
    if old_codes is None:
        old_codes = _encoded(tokenizer, old_embeddings)
    old_codes = checked_codes(old_codes, tokenizer.level_sizes)
    if len(old_codes) != len(old_embeddings):
        raise ValueError(f"got {len(old_codes)} old_codes for {len(old_embeddings)} old items; give the codes of these")
    new_codes = _encoded(tokenizer, new_embeddings)
    old_counts, new_counts = (items_per_code(codes, tokenizer.level_sizes) for codes in (old_codes, new_codes))
    unknown = [(counts == 0)[codes] for counts, codes in zip(old_counts, new_codes.T, strict=True)]
    errors = _Errors()
    if isinstance(tokenizer, Decoder):
        errors = _errors(tokenizer, old_embeddings, old_codes, new_embeddings, new_codes)
    return Drift(
        num_old_items=len(old_embeddings),
        num_new_items=len(new_embeddings),
        **errors._asdict(),
        usage_divergence_bits=usage_divergence_bits(old_counts[0], new_counts[0]),
        items_on_new_codes=int(np.any(unknown, axis=0).sum()),
        old_items_per_code=len(old_embeddings) / max(tokenizer.level_sizes),
    )


class _Errors(NamedTuple):
    old_error: float | None = None
    new_error: float | None = None
    error_ratio: float | None = None
    median_ratio: float | None = None
    share_beyond_p95: float | None = None


def _errors(
    decoder: Decoder,
    old_embeddings: Float[ndarray, "old dim"],
    old_codes: Int[ndarray, "old levels"],
    new_embeddings: Float[ndarray, "new dim"],
    new_codes: Int[ndarray, "new levels"],
) -> _Errors:
    unit = squared_spread(old_embeddings) / len(old_embeddings)
    if unit == 0:
        raise ValueError("the old embeddings are all alike, so that no error can be measured; check the encoder")
    old = _relative(compared(old_embeddings, decoded_chunks(decoder, old_codes), name="old embeddings")[0], unit)
    new = _relative(compared(new_embeddings, decoded_chunks(decoder, new_codes), name="new embeddings")[0], unit)
    return _Errors(
        old_error=float(old.mean()),
        new_error=float(new.mean()),
        error_ratio=_ratio(new.mean(), old.mean()),
        median_ratio=_ratio(np.median(new), np.median(old)),
        share_beyond_p95=float((new > np.percentile(old, 95)).mean()),
    )


def _relative(squared_errors: Float64[ndarray, " items"], unit: float) -> Float64[ndarray, " items"]:
    relative = squared_errors / unit
    return np.where(relative < EXACT_SHARE, 0.0, relative)


def _ratio(new: float, old: float) -> float | None:
    return float(new / old) if old > 0 else None


def _encoded(tokenizer: Tokenizer, embeddings: Float[ndarray, "items dim"]) -> Int[ndarray, "items levels"]:
    parts = [
        tokenizer.encode(embeddings[start : start + ENCODE_ITEMS]) for start in range(0, len(embeddings), ENCODE_ITEMS)
    ]
    return np.concatenate(parts)


def _figure(value: float | None, decimals: int = 3) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"

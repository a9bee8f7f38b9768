"""Numbers as a reader wants them."""

from genrec.evaluation.intervals import Interval

NOTHING = "–"
"""Where there is no figure: never 0."""


def figure(value: float | None) -> str:
    """A figure of metrics.json with four decimals."""
    return NOTHING if value is None else f"{value:.4f}"


def percent(share: float | None) -> str:
    """A share as per cent with one decimal."""
    return NOTHING if share is None else f"{100 * share:.1f} %"


def whole_percent(share: float) -> str:
    """A share as per cent without decimals."""
    return f"{100 * share:.0f} %"


def count(number: int) -> str:
    """A whole number with its thousands set apart."""
    return f"{number:,}"


def figure_range(interval: Interval | None) -> str:
    """The ends of an interval, such as "0.3755 to 0.4021"."""
    return NOTHING if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"


def points(difference: float) -> str:
    """A difference of two shares in points of per cent, with its sign."""
    return f"{100 * difference:+.1f}"

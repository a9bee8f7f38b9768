"""How the report's figures look. They need matplotlib, the extra `plots`."""

from collections.abc import Sequence
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING, Any

from genrec.errors import ConfigError
from genrec.evaluation.intervals import Interval
from genrec.report.sections import Picture
from tokenizer.figures import COLOURS, MARKERS, STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INCHES = 5.0, 3.5
_DOTS_PER_INCH = 200
_TITLE_LETTERS = 50
_MARKERS = (*MARKERS, "v", "P", "X")


def require_matplotlib() -> None:
    """`ConfigError` unless figures can be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigError('a report needs matplotlib; install it with: pip install "genrec[plots]"') from error


def new_axes(*, height: float = _INCHES[1]) -> "Axes":
    """Empty axes, readable when they are 360 pixels wide."""
    from matplotlib.figure import Figure  # not pyplot: no window, no state that outlives the figure

    figure = Figure(figsize=(_INCHES[0], height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    return axes


def style_of(place: int, **changes: Any) -> dict[str, Any]:
    """Colour, marker and line of the series at that place, with changes; the first one is drawn strongest."""
    return {
        "color": COLOURS[place % len(COLOURS)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "linestyle": STYLES[place % len(STYLES)],
        "linewidth": 2.2 if place == 0 else 1.4,
        "markersize": 6.5 if place == 0 else 5,
        **changes,
    }


def picture_of(axes: "Axes", name: str, title: str, *, legend: int = 0) -> Picture:
    """The finished figure under its title; `legend`: columns of a legend below it, 0: none."""
    figure: Any = axes.figure
    figure.suptitle(fill(title, _TITLE_LETTERS), x=0.01, ha="left", fontsize=11, fontweight="bold")
    axes.grid(color="#e5e5e5", linewidth=0.7)
    if legend:
        figure.legend(loc="outside lower left", ncols=legend, frameon=False, fontsize=9, handlelength=2.4)
    file = BytesIO()
    # no name of the software inside: the same run gives the same bytes
    figure.savefig(file, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return Picture(name, title, file.getvalue())


def ticks_of_codes(axes: "Axes", num_codes: int) -> None:
    """The codes of an ID along the x axis, from 1."""
    axes.set_xticks(range(1, num_codes + 1), [f"code {number}" for number in range(1, num_codes + 1)])
    axes.set_xlim(0.5, num_codes + 0.5)


def error_bars(
    values: Sequence[float], intervals: Sequence[Interval | None], *, scale: float = 1.0
) -> tuple[list[float], list[float]]:
    """How far each interval reaches below and above its value; 0 where there is none."""
    pairs = [
        (value, interval or Interval(value, value, value)) for value, interval in zip(values, intervals, strict=True)
    ]
    below = [scale * max(0.0, value - interval.low) for value, interval in pairs]
    return below, [scale * max(0.0, interval.high - value) for value, interval in pairs]


def dodged(places: Sequence[float], number: int, of: int, *, width: float = 0.5) -> list[float]:
    """The places moved aside, so that the series of that number hides no other."""
    step = width / max(of, 1)
    return [place + (number - (of - 1) / 2) * step for place in places]

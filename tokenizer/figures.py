"""Pictures of a codebook as PNG files. They need matplotlib, the extra `plots`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.checkpoint import write_atomically
from tokenizer.code_usage import items_per_code, items_per_prefix, sharing_items
from tokenizer.contract import checked_codes
from tokenizer.preparation import Preparation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
"""Told apart by colour-blind readers too (Okabe & Ito 2008), without their yellow: it is pale on white."""
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "^", "s", "D")
GREY = "#cccccc"
LABEL_BOX = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
LABEL_SIZE = 0.045, 0.03
"""Width and height that a code's number takes on the map, as shares of the points' ranges."""
DOTS_PER_INCH = 150


def codebook_figure(codes: Int[ndarray, "items levels"], path: str | Path, *, level_sizes: Sequence[int]) -> None:
    """Write a PNG of three panels: uses of each code against even use, items under each prefix, items that share one.

    Raises:
        ValueError: codes outside of their level, no item, or another ending than .png.
        ImportError: matplotlib is not installed.
    """
    sizes = tuple(int(size) for size in level_sizes)
    codes = checked_codes(codes, sizes)
    if len(codes) == 0:
        raise ValueError("expected codes of at least one item, but got none")
    figure = _new_figure(13.5, 4.4)
    usage, prefixes, sharing = figure.subplots(1, 3)
    counts = items_per_prefix(codes)
    _draw_usage(usage, items_per_code(codes, sizes), len(codes))
    _draw_prefixes(prefixes, counts)
    _draw_sharing(sharing, [sharing_items(items) / len(codes) for items in counts])
    figure.suptitle(f"{len(codes):,} items, {' x '.join(f'{size:,}' for size in sizes)} codes")
    _write_png(figure, path)


def code_map_figure(
    embeddings: Float[ndarray, "items dim"],
    codes: Int[ndarray, "coded levels"],
    names: Mapping[tuple[int, ...], str],
    path: str | Path,
    *,
    num_codes: int = 12,
    max_items: int = 20_000,
    seed: int = 0,
) -> None:
    """Write a PNG of the items on their two strongest principal axes, coloured by the largest first codes.

    Args:
        names: of codes, as `code_names` gives them; a code without one goes by its number.
        num_codes: how many codes are coloured; items of the others are grey.
        max_items: more items than this are sampled down, by `seed`.

    Raises:
        ValueError: another number of codes than of items, less than two dimensions or items, or not a .png.
        ImportError: matplotlib is not installed.
    """
    if len(embeddings) != len(codes) or len(codes) < 2 or embeddings.shape[1] < 2:
        raise ValueError(
            f"expected two or more items of two or more dimensions with their codes, but got embeddings of shape "
            f"{embeddings.shape} and codes of {codes.shape}"
        )
    rows = np.arange(len(codes))
    if len(rows) > max_items:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), max_items, replace=False))
    points, shares = _principal_plane(embeddings[rows])
    largest = [pair for pair in largest_codes(codes[:, 0], num_codes) if pair[0] in codes[rows, 0]]
    figure = _new_figure(11.0, 6.5)
    axes = figure.subplots()
    _draw_map(axes, points, codes[rows, 0], largest, names)
    axes.set_xlabel(f"first principal axis ({100 * shares[0]:.0f} % of the variance)")
    axes.set_ylabel(f"second principal axis ({100 * shares[1]:.0f} % of the variance)")
    shown = f"{len(rows):,} of {len(codes):,} items" if len(rows) < len(codes) else f"{len(codes):,} items"
    axes.set_title(f"{shown}, coloured by their first code")
    _write_png(figure, path)


def _draw_usage(axes: "Axes", counts: list[Int[ndarray, " _codes"]], num_items: int) -> None:
    for level, of_level in enumerate(counts):
        used = np.sort(of_level[of_level > 0])[::-1]
        ranks = 100 * np.arange(1, len(used) + 1) / len(of_level)
        label = f"code {level + 1}: {len(used):,} of {len(of_level):,} used"
        axes.plot(ranks, used * len(of_level) / num_items, label=label, **_line_style(level))
    axes.axhline(1, color="black", linewidth=1, linestyle=(0, (1, 2)), label="even use")
    axes.set(title="Use of the codes", xlabel="codes, most used first (% of the level)", yscale="log")
    axes.set_ylabel("items per code (times the even share)")
    axes.set_xlim(0, 100)
    axes.yaxis.set_major_formatter("{x:g}")
    _finish(axes)


def _draw_prefixes(axes: "Axes", counts: list[Int[ndarray, " _prefixes"]]) -> None:
    """Bars by length within bins of 1, 2-3, 4-7, ... items."""
    num_bins = max(int(items.max()) for items in counts).bit_length()
    edges = 2 ** np.arange(num_bins + 1)
    width = 0.85 / len(counts)
    for level, items in enumerate(counts):
        heights, _ = np.histogram(items, edges - 0.5)
        places = np.arange(num_bins) + (level - (len(counts) - 1) / 2) * width
        label = f"{level + 1} code{'s' if level else ''}: {len(items):,} prefixes"
        axes.bar(places, heights, width, label=label, color=COLOURS[level % len(COLOURS)])
    ticks = np.arange(0, num_bins, 1 if num_bins <= 10 else 2)  # more would run into one another
    axes.set_xticks(ticks, [f"{edges[tick]:,}" for tick in ticks])
    axes.set(title="Items under a prefix", ylabel="number of prefixes", yscale="log")
    axes.set_xlabel("items under the prefix (bins of 1, 2-3, 4-7, ...)")
    axes.set_ylim(bottom=0.7)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    _finish(axes, along="y")


def _draw_sharing(axes: "Axes", shares: list[float]) -> None:
    lengths = np.arange(1, len(shares) + 1)
    colours = [COLOURS[level % len(COLOURS)] for level in range(len(shares))]
    bars = axes.bar(lengths, [100 * share for share in shares], color=colours, width=0.6)
    axes.bar_label(bars, [f"{100 * share:.1f} %" for share in shares], padding=2)
    axes.set(title="Items that are not alone", xlabel="length of the prefix (codes)")
    axes.set_ylabel("items that share their prefix (%)")
    axes.set_xticks(lengths)
    axes.set_ylim(0, 108)
    _finish(axes, along="y", legend=False)


def _draw_map(
    axes: "Axes",
    points: Float[ndarray, "items 2"],
    first_codes: Int[ndarray, " items"],
    largest: list[tuple[int, int]],
    names: Mapping[tuple[int, ...], str],
) -> None:
    middles = []
    for place, (code, num_items) in enumerate(largest):
        here = points[first_codes == code]
        middles.append(np.median(here, axis=0))
        style = {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place // len(COLOURS) % len(MARKERS)]}
        label = f"{code}: {names[code,]} ({num_items:,})" if (code,) in names else f"{code} ({num_items:,})"
        axes.scatter(*here.T, s=14, linewidths=0, alpha=0.8, label=label, **style)
    for (code, _), (x, y) in zip(largest, labels_apart(np.array(middles), np.ptp(points, axis=0)), strict=True):
        axes.text(x, y, str(code), ha="center", va="center", bbox=LABEL_BOX, fontsize=8, clip_on=True)
    others = ~np.isin(first_codes, [code for code, _ in largest])
    axes.scatter(*points[others].T, s=4, color=GREY, linewidths=0, label="other codes", zorder=0.9)
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(title="code: name (items)", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, markerscale=2)
    _finish(axes, legend=False)


def labels_apart(middles: Float[ndarray, "labels 2"], ranges: Float[ndarray, "2"]) -> Float[ndarray, "labels 2"]:
    """Places of labels: each in the middle of its items, or as far above as it takes to hide none before it."""
    size = ranges * LABEL_SIZE
    placed = middles.copy()
    for place in range(len(placed)):
        while (np.abs(placed[:place] - placed[place]) < size).all(axis=1).any():
            placed[place, 1] += size[1]
    return placed


def largest_codes(first_codes: Int[ndarray, " items"], num_codes: int) -> list[tuple[int, int]]:
    """The codes with the most items, and these; ties go to the lowest code."""
    codes, counts = np.unique(first_codes, return_counts=True)
    best = np.argsort(-counts, kind="stable")[:num_codes]
    return list(zip(codes[best].tolist(), counts[best].tolist(), strict=True))


def _principal_plane(embeddings: Float[ndarray, "items dim"]) -> tuple[Float[ndarray, "items 2"], list[float]]:
    """Positions on the two strongest axes, and the share of the variance that each has."""
    points = Preparation.fit(embeddings, kind="centre", num_axes=2).apply(embeddings)
    variance = embeddings.var(axis=0, dtype=np.float64).sum()
    return points, [float(value / variance) if variance > 0 else 0.0 for value in points.var(axis=0)]


def _line_style(level: int) -> dict[str, Any]:
    return {"color": COLOURS[level % len(COLOURS)], "linestyle": STYLES[level % len(STYLES)], "linewidth": 1.8}


def _finish(axes: "Axes", *, along: Literal["both", "y"] = "both", legend: bool = True) -> None:
    axes.grid(color="#e5e5e5", linewidth=0.7, axis=along)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False, fontsize=9)


def _new_figure(width_inches: float, height_inches: float) -> Any:
    try:
        from matplotlib.figure import Figure  # not pyplot: no window, no state that outlives the figure
    except ImportError as error:
        raise ImportError('figures need matplotlib; install it with: pip install "genrec[plots]"') from error
    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def _write_png(figure: Any, path: str | Path) -> None:
    path = Path(path)
    if path.suffix != ".png":
        raise ValueError(f"figures are written as PNG, but the file is {path}; give it the ending .png")
    write_atomically(path, lambda file: figure.savefig(file, format="png", dpi=DOTS_PER_INCH))

"""A tree of clusters: each node's items are clustered again, with centroids of the node's own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from numpy import ndarray

from tokenizer.checkpoint import CONFIG_FILE, WEIGHTS_FILE, checked_array
from tokenizer.distances import nearest, squared_distances


@dataclass(frozen=True, eq=False)
class ClusterTree:
    """Level by level the nodes' children in one table. Nodes of a level are the children of the level above."""

    centroids: tuple[ndarray, ...]
    """Of each level float32 (children, axes); the children of a node lie together."""
    first_child: tuple[ndarray, ...]
    """Of each level int64 (nodes + 1): node n has children `first_child[n]` to `first_child[n + 1] - 1`, at least one;
    the first level has one node, the root."""

    def codes(self, points: Float[ndarray, "items axes"]) -> Int[ndarray, "items levels"]:
        """On each level the place of the child that is nearest, from the root down."""
        nodes = np.zeros(len(points), dtype=np.int64)
        codes = []
        for centroids, first in zip(self.centroids, self.first_child, strict=True):
            children = nearest_children(points, nodes, centroids, first)
            codes.append(children - first[nodes])
            nodes = children
        return np.stack(codes, axis=1)

    def nodes(self, prefixes: Int[ndarray, "items depth"]) -> Int[ndarray, " items"]:
        """The node at the end of each prefix. Raises ValueError (row named) for a child that the tree has not."""
        nodes = np.zeros(len(prefixes), dtype=np.int64)
        for level, (codes, first) in enumerate(zip(prefixes.T, self.first_child, strict=False)):
            children = first[nodes] + codes
            missing = np.flatnonzero(children >= first[nodes + 1])
            if len(missing):
                row = missing[0]
                raise ValueError(
                    f"code {codes[row]} of row {row} at level {level} names no cluster: the node above it has "
                    f"{first[nodes[row] + 1] - first[nodes[row]]}; take the codes that encode gives"
                )
            nodes = children
        return nodes

    def leaf_centroids(self, codes: Int[ndarray, "items levels"]) -> Float[ndarray, "items axes"]:
        """Centroid of each leaf. A last code beyond the children of its node is free, and stands for the node itself.

        Raises:
            ValueError: another code names no cluster.
        """
        nodes = self.nodes(codes[:, :-1])
        children = self.first_child[-1][nodes] + codes[:, -1]
        known = children < self.first_child[-1][nodes + 1]
        centroids = self._node_centroids(nodes)
        centroids[known] = self.centroids[-1][children[known]]
        return centroids

    def leaf_distances(
        self, points: Float[ndarray, "items axes"], codes: Int[ndarray, "items levels"], num_codes: int
    ) -> Float[ndarray, "items codes"]:
        """Squared distance (float64) of each item to `num_codes` leaves under the node that its other codes name.

        A free code is as far as the node's own centroid.
        """
        nodes = self.nodes(codes[:, :-1])
        first, own = self.first_child[-1], self._node_centroids(nodes)
        distances = np.empty((len(points), num_codes))
        for node, rows in _rows_of_nodes(nodes):
            leaves = self.centroids[-1][first[node] : first[node + 1]]
            distances[rows] = squared_distances(points[rows], own[rows[:1]])
            distances[np.ix_(rows, np.arange(len(leaves)))] = squared_distances(points[rows], leaves)
        return distances

    def arrays(self) -> dict[str, ndarray]:
        """Its parts, for a checkpoint."""
        named = {f"centroids.{level}": table for level, table in enumerate(self.centroids)}
        return named | {f"first_child.{level}": table for level, table in enumerate(self.first_child)}

    @classmethod
    def from_arrays(
        cls, folder: Path, arrays: Mapping[str, ndarray], children: tuple[int, ...], num_axes: int, most_children: int
    ) -> "ClusterTree":
        """What `arrays` gave, out of the checkpoint in `folder`; `children`: how many each level has.

        Raises:
            ValueError: a part is missing, of another shape, or no table of at most `most_children` children per node.
        """
        counts = (1, *children)
        centroids, first_child = [], []
        for level, number in enumerate(children):
            centroids.append(checked_array(folder, arrays, f"centroids.{level}", (number, num_axes)))
            first = checked_offsets(folder, arrays, f"first_child.{level}", (counts[level], number, most_children))
            first_child.append(first)
        return cls(tuple(centroids), tuple(first_child))

    def _node_centroids(self, nodes: Int[ndarray, " items"]) -> Float[ndarray, "items axes"]:
        if len(self.centroids) == 1:
            return np.repeat(self.centroids[0].mean(axis=0, dtype=np.float64, keepdims=True), len(nodes), axis=0)
        return self.centroids[-2][nodes].astype(np.float64)


def grow_tree(
    points: Float[ndarray, "items axes"],
    num_levels: int,
    most_children: int,
    *,
    one_codebook: Callable[[ndarray, int], ndarray],
    progress: Callable[[int, int], None],
) -> ClusterTree:
    """Cluster the points, then each cluster's points, `num_levels` deep.

    A node of at most `most_children` distinct points has one child for each, in the order they come; a larger one
    those of `one_codebook(points, level)`; one that nobody is in has itself. `progress(levels done, levels)` is called
    before each level.
    """
    points_32 = points.astype(np.float32)
    _, twins = np.unique(points_32, axis=0, return_inverse=True)
    centroids: list[ndarray] = []
    first_child: list[ndarray] = []
    nodes, num_nodes = np.zeros(len(points), dtype=np.int64), 1
    for level in range(num_levels):
        progress(level, num_levels)
        children = [centroids[-1][node : node + 1] if level else points_32[:1] for node in range(num_nodes)]
        for node, rows in _rows_of_nodes(nodes):
            distinct = rows[np.sort(np.unique(twins[rows], return_index=True)[1])]
            few = len(distinct) <= most_children
            children[node] = points_32[distinct] if few else one_codebook(points_32[rows], level)
        first_child.append(np.cumsum([0, *(len(table) for table in children)]))
        centroids.append(np.concatenate(children))
        nodes, num_nodes = nearest_children(points, nodes, centroids[-1], first_child[-1]), len(centroids[-1])
    return ClusterTree(tuple(centroids), tuple(first_child))


def nearest_children(
    points: Float[ndarray, "items axes"],
    nodes: Int[ndarray, " items"],
    centroids: Float[ndarray, "children axes"],
    first_child: Int[ndarray, " offsets"],
) -> Int[ndarray, " items"]:
    """Row in `centroids` of the nearest among the children of each point's node."""
    children = first_child[nodes]
    to_choose = np.flatnonzero(first_child[nodes + 1] - children > 1)
    for node, places in _rows_of_nodes(nodes[to_choose]):
        rows = to_choose[places]
        children[rows] += nearest(points[rows], centroids[first_child[node] : first_child[node + 1]])
    return children


def checked_offsets(
    folder: Path, arrays: Mapping[str, ndarray], name: str, sizes: tuple[int, int, int]
) -> Int[ndarray, " offsets"]:
    """The int64 array of that name: where the children of each node begin; `sizes`: nodes, children, most per node.

    Raises:
        ValueError: it is missing, or does not part the children among the nodes; file and array are named.
    """
    num_nodes, num_children, most_children = sizes
    found = arrays.get(name)
    fits = found is not None and found.dtype == np.int64 and found.shape == (num_nodes + 1,)
    if found is None or not fits or found[0] != 0 or found[-1] != num_children:
        raise ValueError(
            f"{folder / WEIGHTS_FILE}: expected array {name!r} as int64 ({num_nodes + 1},) from 0 to {num_children}, "
            f"but it is not; it does not belong to {CONFIG_FILE} beside it"
        )
    counts = np.diff(found)
    if counts.min() < 1 or counts.max() > most_children:
        raise ValueError(
            f"{folder / WEIGHTS_FILE}: array {name!r} gives a node {counts.min()} and another {counts.max()} children, "
            f"but expected 1 to {most_children}; fit the tokenizer again"
        )
    return found


def _rows_of_nodes(nodes: Int[ndarray, " items"]) -> list[tuple[int, Int[ndarray, " rows"]]]:
    """Each node that occurs, with its rows ascending."""
    order = np.argsort(nodes, kind="stable")
    present, starts = np.unique(nodes[order], return_index=True)
    parts = np.split(order, starts)[1:]  # what is before the first node is empty
    return list(zip(present.tolist(), parts, strict=True))

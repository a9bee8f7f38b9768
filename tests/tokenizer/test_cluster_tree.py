import numpy as np
import pytest

from tokenizer.cluster_tree import ClusterTree, grow_tree


def test_children_of_a_large_node_are_the_codebook_of_its_own_points():
    points = np.concatenate([np.linspace(-5, -3, 50), np.linspace(2, 6, 50)]).astype(np.float32)[:, None]
    seen = []

    def two_means(members, level):
        seen.append((level, len(members)))
        return np.stack([members[members[:, 0] <= 0].mean(axis=0), members[members[:, 0] > 0].mean(axis=0)])

    tree = grow_tree(points, 1, 2, one_codebook=two_means, progress=lambda done, number: None)
    assert seen == [(0, 100)]
    assert np.allclose(tree.centroids[0], [[-4], [4]])
    assert tree.codes(points.astype(np.float64))[:, 0].tolist() == [0] * 50 + [1] * 50


def test_the_children_of_few_items_are_the_items_in_the_order_they_come():
    points = np.array([[5, 0], [1, 0], [5, 0], [3, 0]], dtype=np.float32)
    tree = grow_tree(points, 2, 4, one_codebook=lambda *_: pytest.fail("no k-means"), progress=lambda *_: None)
    assert [table.tolist() for table in tree.centroids] == [[[5, 0], [1, 0], [3, 0]]] * 2
    assert [first.tolist() for first in tree.first_child] == [[0, 3], [0, 1, 2, 3]]
    assert tree.codes(points.astype(np.float64)).tolist() == [[0, 0], [1, 0], [0, 0], [2, 0]]


def test_a_node_that_nobody_is_in_has_itself_as_child():
    points = np.array([[0.0], [1.0], [2.0]], dtype=np.float32)
    centroids = np.array([[1.0], [50.0]], dtype=np.float32)
    tree = grow_tree(points, 2, 2, one_codebook=lambda *_: centroids, progress=lambda *_: None)
    assert tree.first_child[1].tolist() == [0, 2, 3]
    assert tree.centroids[1][2].tolist() == [50]


def test_a_node_without_children_is_refused(tmp_path):
    tables = (np.zeros((1, 2), dtype=np.float32), np.zeros((2, 2), dtype=np.float32))
    tree = ClusterTree(tables, (np.array([0, 1]), np.array([0, 0, 2])))
    with pytest.raises(ValueError, match="as int64"):
        ClusterTree.from_arrays(tmp_path, tree.arrays(), (1, 2), 2, 4)
    tree = ClusterTree((tables[1], tables[1]), (np.array([0, 2]), np.array([0, 0, 2])))
    with pytest.raises(ValueError, match="gives a node 0"):
        ClusterTree.from_arrays(tmp_path, tree.arrays(), (2, 2), 2, 4)

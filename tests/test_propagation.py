"""Label propagation: against the dense closed form, graphs worked by hand, and scikit-learn's neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.neighbors import NearestNeighbors

from poolflow.kernels import propagation
from poolflow.kernels.errors import InputError


def dense(features, neighbours, power=3.0, reciprocal=False):
    """Return the normalised graph as a full matrix, pair by pair."""
    points = features / np.linalg.norm(features, axis=1, keepdims=True)
    cosines, count = points @ points.T, len(points)
    one_way = np.zeros((count, count))
    for row in range(count):
        others = [other for other in np.argsort(-cosines[row], kind="stable") if other != row][:neighbours]
        one_way[row, others] = np.maximum(cosines[row, others], 0) ** power
    both = np.minimum(one_way, one_way.T) if reciprocal else one_way + one_way.T
    degrees = both.sum(axis=1)
    scale = np.where(degrees > 0, np.maximum(degrees, 1e-300) ** -0.5, 0)
    return scale[:, None] * both * scale


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("neighbours", [1, 3, 50])
def test_the_graph_is_that_of_all_pairs(neighbours, reciprocal):
    features = np.random.default_rng(0).normal(size=(30, 4))
    found = propagation.graph(features, neighbours, reciprocal=reciprocal).toarray()
    np.testing.assert_allclose(found, dense(features, neighbours, reciprocal=reciprocal), atol=1e-6)
    np.testing.assert_allclose(found, found.T, rtol=1e-12)
    assert (np.diag(found) == 0).all()


def test_the_neighbours_are_those_of_another_package_and_a_pair_of_each_other_s_weighs_twice():
    features = np.random.default_rng(1).normal(size=(200, 8))
    points = features / np.linalg.norm(features, axis=1, keepdims=True)
    nearest = NearestNeighbors(n_neighbors=6).fit(points).kneighbors(return_distance=False)[:, :5]
    expected = np.zeros((200, 200))
    expected[np.arange(200)[:, None], nearest] = 1
    found = propagation.graph(features, 5, power=1e-9).toarray()  # every weight is 1
    counts = expected + expected.T
    degrees = counts.sum(axis=1)
    np.testing.assert_allclose(found, np.where(found > 0, counts, 0) / np.sqrt(np.outer(degrees, degrees)), atol=0.2)
    mutual = propagation.graph(features, 5, reciprocal=True)
    assert ((mutual.toarray() > 0) <= (expected * expected.T > 0)).all()


def normalised(weights):
    weights = np.asarray(weights, float)
    scale = weights.sum(axis=1) ** -0.5
    return sparse.csr_matrix(scale[:, None] * weights * scale)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ([[0, 1], [1, 0]], [50.2513, 49.7487]),
        ([[0, 1, 0], [1, 0, 1], [0, 1, 0]], [25.6256, 35.1777, 24.6256]),
    ],
)
def test_two_and_three_rows_by_hand(weights, expected):
    found = propagation.propagate(normalised(weights), [0], [0], classes=2)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-4)
    assert (found[:, 1] == 0).all()  # a class without a label reaches nothing


@given(st.integers(2, 16), st.integers(1, 6), st.integers(2, 4), st.floats(0, 0.9), st.integers(0, 10**6))
def test_what_spreads_is_the_closed_form(count, neighbours, classes, alpha, seed):
    rng = np.random.default_rng(seed)
    graph = propagation.graph(rng.normal(size=(count, 3)), neighbours)
    labeled = rng.permutation(count)[: rng.integers(1, count + 1)]
    labels = rng.integers(0, classes, len(labeled))
    seeds = np.zeros((count, classes))
    seeds[labeled, labels] = 1
    seeds /= np.maximum(seeds.sum(axis=0), 1)
    expected = np.linalg.solve(np.eye(count) - alpha * graph.toarray(), seeds)
    found = propagation.propagate(graph, labeled, labels, classes, alpha)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert (found > -1e-5).all()


def test_pseudo_labels_by_hand():
    spread = np.array([[3, 1, 0], [2, 2, 2], [0, 5, 0], [0, 0, 0], [1, -1, 0]], float)
    classes, weights = propagation.pseudo_labels(spread)
    assert classes.tolist() == [0, 0, 1, 0, 0]
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    np.testing.assert_allclose(weights, [1 - entropy / np.log(3), 0, 1, 0, 1], atol=1e-12)
    _, weights = propagation.pseudo_labels(spread[:2])  # the largest one is 1
    np.testing.assert_allclose(weights, [1, 0], atol=1e-12)
    assert propagation.pseudo_labels(spread[3:4])[1].tolist() == [0]
    np.testing.assert_allclose(propagation.class_weights([0, 0, 0, 1], 3), [4 / 9, 4 / 3, 0])


def test_isolated_rows_and_rows_that_are_the_same():
    features = np.array([[1, 0], [1, 0], [1, 0], [-1, 0.0], [0, 0]])
    graph = propagation.graph(features, neighbours=2)
    assert graph[3].nnz == graph[4].nnz == 0
    np.testing.assert_allclose(graph.toarray()[:3, :3], (1 - np.eye(3)) / 2, atol=1e-6)
    found = propagation.propagate(graph, [0], [1], 2)
    assert found[3:].tolist() == [[0, 0], [0, 0]]
    assert propagation.graph(features[:1]).nnz == 0


def test_what_is_none_is_refused():
    with pytest.raises(InputError, match=r"features\[0, 0\]: found nan"):
        propagation.graph(np.array([[np.nan]]))
    with pytest.raises(InputError, match="neighbours: found 0"):
        propagation.graph(np.ones((3, 2)), 0)
    with pytest.raises(InputError, match="alpha: found 1, expected 0 or more and less than 1"):
        propagation.propagate(normalised([[0, 1], [1, 0]]), [0], [0], 2, alpha=1)
    with pytest.raises(InputError, match=r"labeled\[0\]: found 7"):
        propagation.propagate(normalised([[0, 1], [1, 0]]), [7], [0], 2)

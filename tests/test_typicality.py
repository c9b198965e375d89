"""TypiClust against the rule by brute force, given the same clusters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans

from poolflow.kernels import typicality, typiclust


def brute_force(features, labeled, budget, clusters, neighbours):
    """Follow the rule one pick at a time with whole float64 distance matrices."""
    sizes, known = np.bincount(clusters), np.bincount(clusters[labeled], minlength=clusters.max() + 1)
    taken, picks, scores = set(labeled.tolist()), [], []

    def left(cluster):
        return [row for row in np.flatnonzero(clusters == cluster) if row not in taken]

    for small in (False, True):
        turn = sorted(
            (c for c in range(len(sizes)) if sizes[c] and (sizes[c] <= 5) == small),
            key=lambda c: (known[c], -sizes[c], c),
        )
        while any(left(cluster) for cluster in turn):
            for cluster in turn:
                rows = left(cluster)
                if not rows or len(picks) == budget:
                    continue
                number = min(neighbours, len(rows) // 2)
                place, score = 0, 0.0
                if number:
                    distances = np.sort(cdist(features[rows], features[rows]), axis=1)[:, 1 : number + 1].mean(axis=1)
                    place = int(np.argmax(distances <= distances.min() + 1e-7))
                    score = 1 / (distances[place] + 1e-5)
                picks.append(rows[place])
                scores.append(score)
                taken.add(rows[place])
            if len(picks) == budget:
                return picks, scores
    return picks, scores


@st.composite
def pools(draw):
    shape = draw(st.tuples(st.integers(2, 40), st.integers(1, 4)))
    features = draw(hnp.arrays(np.float32, shape, elements=st.integers(-3, 3).map(float)))
    labeled = draw(st.sets(st.integers(0, len(features) - 1), max_size=len(features) - 1))
    budget = draw(st.integers(1, len(features) - len(labeled)))
    count = min(len(labeled) + budget, 5)
    clusters = draw(hnp.arrays(np.int32, len(features), elements=st.integers(0, count - 1)))
    return features, np.array(sorted(labeled), dtype=np.int64), budget, clusters


@settings(max_examples=80, deadline=None)
@given(pools(), st.integers(1, 20), st.sampled_from([1, 50, 2**22]))
def test_given_the_clusters_the_picks_equal_brute_force(pool, neighbours, block):
    features, labeled, budget, clusters = pool
    originals = typicality.kmeans, typicality.BLOCK
    typicality.kmeans, typicality.BLOCK = lambda *_: clusters, block
    try:
        rows, scores = typiclust(features, labeled, budget, None, max_clusters=5, neighbours=neighbours)
    finally:
        typicality.kmeans, typicality.BLOCK = originals
    picks, expected = brute_force(features, labeled, budget, clusters, neighbours)
    assert rows.tolist() == picks
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def clustered(count=2000, offset=0.0):
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(15, 30))
    return (offset + centres[rng.integers(15, size=count)] + 0.3 * rng.normal(size=(count, 30))).astype(np.float32)


@pytest.mark.parametrize("offset", [0, 1e3])
def test_real_valued_features_and_a_seed_that_decides(offset):
    features, labeled = clustered(offset=offset), np.array([5, 17])
    rows, scores = typiclust(features, labeled, 30, np.random.default_rng(1))
    assert len(set(rows.tolist()) - {5, 17}) == 30
    assert rows.tolist() == typiclust(features, labeled, 30, np.random.default_rng(1))[0].tolist()
    clusters = typicality.kmeans(features, 32, np.random.default_rng(1))
    picks, expected = brute_force(features.astype(np.float64), labeled, 30, clusters, 20)
    assert rows.tolist() == picks
    np.testing.assert_allclose(scores, expected, rtol=1e-9)
    assert len(set(clusters[rows[:20]])) == 20  # each from a cluster of its own, none of them labelled
    assert not set(clusters[rows[:20]]) & set(clusters[labeled])


def test_the_short_k_means_is_as_good_as_the_long_one(monkeypatch):
    monkeypatch.setattr(typicality, "LEAST", 0)
    features = clustered(4000)

    def inertia(clusters):
        return sum(((features[clusters == c] - features[clusters == c].mean(axis=0)) ** 2).sum() for c in range(60))

    long = [KMeans(60, n_init=1, random_state=seed).fit(features).inertia_ for seed in range(3)]
    short = [inertia(typicality.kmeans(features, 60, np.random.default_rng(seed))) for seed in range(3)]
    assert np.mean(short) < 1.01 * np.mean(long)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_identical_rows_and_a_budget_of_all():
    features = np.ones((9, 2), np.float32)
    rows, scores = typiclust(features, [4], 8, np.random.default_rng(0), max_clusters=3)
    assert sorted(rows.tolist()) == [0, 1, 2, 3, 5, 6, 7, 8]
    np.testing.assert_allclose(scores[:7], 1e5)
    assert scores[7] == 0
    rows, _ = typiclust(np.arange(3.0)[:, None], [], 3, np.random.default_rng(0))
    assert sorted(rows.tolist()) == [0, 1, 2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.array([[0.0], [np.nan], [1.0]])}, r"features\[1, 0\]: found nan"),
        ({"features": np.zeros(3)}, r"features: found shape \(3,\)"),
        ({"labeled": [3]}, r"labeled\[0\]: found 3, expected 0\.\.2"),
        ({"labeled": [2, 1, 2]}, "labeled: found row 2 2 times"),
        ({"budget": 3}, r"budget: found 3, expected 1\.\.2"),
        ({"budget": 0}, "budget: found 0"),
        ({"max_clusters": 0}, "max_clusters: found 0"),
        ({"neighbours": 0}, "neighbours: found 0"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    arguments = {"features": np.zeros((3, 1)), "labeled": [0], "budget": 1, "rng": np.random.default_rng(0)} | change
    with pytest.raises(ValueError, match=message):
        typiclust(**arguments)

"""Greedy k-center against brute force in float64, exhaustive search and inputs made to break it."""

from itertools import combinations

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.distance import cdist

from poolflow.kernels import _rows, k_center_greedy, kcenter


def brute_force(features, labeled, budget):
    """Farthest-first by the whole float64 distance matrix."""
    distances = cdist(features.astype(np.float64), features.astype(np.float64), "sqeuclidean")
    chosen, picks = list(labeled), []
    if not chosen:
        centre = features.astype(np.float64).mean(axis=0)
        picks.append(int(np.argmax(((features - centre) ** 2).sum(axis=1))))
        chosen.append(picks[0])
    nearest = distances[:, chosen].min(axis=1)
    while len(picks) < budget:
        nearest[chosen] = -1
        picks.append(int(np.argmax(nearest)))
        chosen.append(picks[-1])
        nearest = np.minimum(nearest, distances[:, picks[-1]])
    return picks


@pytest.fixture(autouse=True)
def small_blocks(request, monkeypatch):
    """Blocks so small that tiny pools need many; a test may ask for the real ones."""
    if "real_blocks" not in request.fixturenames:
        monkeypatch.setattr(kcenter, "BLOCK", 3)
        monkeypatch.setattr(kcenter, "STREAMED", 5)
        monkeypatch.setattr(kcenter, "CHUNK", 4)
        monkeypatch.setattr(_rows, "BLOCK", 16)
        monkeypatch.setattr(_rows, "CACHE", 8)


@pytest.fixture
def real_blocks():
    pass


@st.composite
def pools(draw, least_labeled=0):
    # Small whole numbers: many ties and duplicates, and every distance exact in float64.
    shape = draw(st.tuples(st.integers(2, 40), st.integers(1, 5)))
    features = draw(hnp.arrays(np.float32, shape, elements=st.integers(-4, 4).map(float)))
    labeled = draw(st.lists(st.integers(0, len(features) - 1), unique=True, max_size=len(features) - 1))
    labeled = np.array(labeled or [0] * least_labeled, dtype=np.int64)
    budget = draw(st.integers(1, len(features) - len(labeled)))
    return features, labeled, budget


@settings(max_examples=400, deadline=None)
@given(pools(), st.sampled_from([(3, 4), (7, 1), (512, 1024)]))
def test_picks_equal_brute_force_with_ties_and_duplicates(pool, sizes):
    features, labeled, budget = pool
    if not len(labeled):
        features = features * 0 + np.arange(len(features), dtype=np.float32)[:, None] ** 2  # no tie with the mean
    kcenter.BLOCK, kcenter.CHUNK = sizes
    assert k_center_greedy(features, labeled, budget).tolist() == brute_force(features, labeled, budget)


@settings(max_examples=100, deadline=None)
@given(pools(least_labeled=1), st.floats(-1e6, 1e6, width=32), st.sampled_from([1e-45, 1e-30, 1e-3, 1.0, 1e18, 1e37]))
def test_picks_do_not_depend_on_offset_or_scale(pool, offset, scale):
    features, labeled, budget = pool
    features = (features * np.float32(scale)) + np.float32(offset if scale == 1 else 0)
    assert k_center_greedy(features, labeled, budget).tolist() == brute_force(features, labeled, budget)


ROWS, WIDTH = 400, 24
SPREADS = {
    "normal": lambda rng: rng.normal(size=(ROWS, WIDTH)),
    "far from the origin": lambda rng: 1e4 + rng.normal(size=(ROWS, WIDTH)),
    "unit vectors": lambda rng: (x := rng.normal(size=(ROWS, WIDTH))) / np.linalg.norm(x, axis=1, keepdims=True),
    "collapsed clusters": lambda rng: (
        rng.normal(size=(5, WIDTH))[rng.integers(5, size=ROWS)] + 1e-4 * rng.normal(size=(ROWS, WIDTH))
    ),
    "tight clusters far apart": lambda rng: (
        1e3 * rng.normal(size=(5, WIDTH))[rng.integers(5, size=ROWS)] + 1e-3 * rng.normal(size=(ROWS, WIDTH))
    ),
    "drawn three times": lambda rng: rng.normal(size=(ROWS // 3, WIDTH))[rng.integers(ROWS // 3, size=ROWS)],
    "one row": lambda rng: np.full((ROWS, WIDTH), 0.3),
    "an outlier": lambda rng: np.where(np.arange(ROWS)[:, None] == 7, 1e18, rng.normal(size=(ROWS, WIDTH))),
    "one column": lambda rng: rng.normal(size=(ROWS, 1)),
    "wide": lambda rng: rng.normal(size=(ROWS, 600)),
    "tiny": lambda rng: 1e-20 * rng.normal(size=(ROWS, WIDTH)),
    "denormal": lambda rng: 1e-43 * rng.normal(size=(ROWS, WIDTH)),
    "huge": lambda rng: 1e18 * rng.normal(size=(ROWS, WIDTH)),
    "at the limit": lambda rng: rng.uniform(-3.4e38, 3.4e38, size=(ROWS, WIDTH)),
    "all scales": lambda rng: rng.normal(size=(ROWS, WIDTH)) * 10.0 ** rng.integers(-12, 12, size=(ROWS, 1)),
    "binary": lambda rng: rng.integers(0, 2, size=(ROWS, WIDTH)),
}


@pytest.mark.parametrize("spread", SPREADS)
@pytest.mark.parametrize("labels", [1, 60])
@pytest.mark.parametrize("block", [16, 512])
def test_picks_equal_brute_force_on_hard_inputs(spread, labels, block, real_blocks, monkeypatch):
    monkeypatch.setattr(kcenter, "BLOCK", block)
    rng = np.random.default_rng(0)
    features = SPREADS[spread](rng).astype(np.float32)
    labeled = rng.choice(ROWS, labels, replace=False)
    picks, distances = k_center_greedy(features, labeled, 200, return_distances=True)
    assert picks.tolist() == brute_force(features, labeled, 200)
    wide = features.astype(np.float64)
    expected = [cdist(wide[[p]], wide[[*labeled, *picks[:i]]]).min() for i, p in enumerate(picks)]
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    assert (np.diff(distances) <= 0).all()  # farthest-first: the radius only shrinks


def test_the_rounding_margin_holds():
    rng = np.random.default_rng(0)
    for dtype, width in [(np.float32, 7), (np.float32, 2000), (np.float64, 200)]:
        x, c = 5 + rng.normal(size=(2, 400, width)).astype(np.float32)
        c[:50] = x[:50]
        search = kcenter._Search(np.concatenate([x, c]), 10.0, np.arange(3), 1)
        (moved, norms), (others, theirs) = search._moved(x, dtype), search._moved(c, dtype)
        slack, tiny = kcenter._rounding(width, dtype)
        approximate = norms[:, None] + theirs - 2 * (moved @ others.T).astype(np.float64)
        exact = cdist(x.astype(np.float64), c.astype(np.float64), "sqeuclidean")
        assert (np.abs(approximate - exact) <= slack * (norms[:, None] + theirs) + tiny).all()


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, st.tuples(st.integers(3, 9), st.integers(1, 3)), elements=st.floats(-1, 1, width=32)))
def test_the_radius_is_at_most_twice_the_smallest_possible(features):
    budget = len(features) // 2
    distances = cdist(features.astype(np.float64), features.astype(np.float64))
    centres = [0, *k_center_greedy(features, [0], budget)]
    best = min(distances[:, [0, *others]].min(axis=1).max() for others in combinations(range(1, len(features)), budget))
    assert distances[:, centres].min(axis=1).max() <= 2 * best + 1e-12


def test_a_permutation_of_the_rows_permutes_the_picks(real_blocks):
    rng = np.random.default_rng(0)
    features, order = rng.normal(size=(2000, 16)).astype(np.float32), rng.permutation(2000)
    place = np.argsort(order)
    picks = k_center_greedy(features, np.arange(50), 200)
    np.testing.assert_array_equal(order[k_center_greedy(features[order], place[:50], 200)], picks)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("labels", [0, 30])
def test_an_hdf5_data_set_gives_the_same_picks(tmp_path, monkeypatch, whole, labels, real_blocks):
    monkeypatch.setattr(_rows, "MEMORY", 2**31 if whole else 0)
    monkeypatch.setattr(_rows, "BLOCK", 1000)
    monkeypatch.setattr(kcenter, "STREAMED", 64)
    rng = np.random.default_rng(0)
    features, labeled = rng.normal(size=(900, 7)).astype(np.float32), rng.choice(900, labels, replace=False)
    with h5py.File(tmp_path / "features.h5", "w") as file:
        file["features"] = features
        file["double"] = features.astype(np.float64)
        for name in file:
            picks, distances = k_center_greedy(file[name], labeled, 200, return_distances=True)
            expected = k_center_greedy(features, labeled, 200, return_distances=True)
            np.testing.assert_array_equal(picks, expected[0])
            np.testing.assert_array_equal(distances, expected[1])
        file["features"][5, 3] = np.nan
        with pytest.raises(ValueError, match=r"features\[5, 3\]: found nan"):
            k_center_greedy(file["features"], labeled, 3)


def test_equal_rows_have_equal_distances_wherever_they_stand(real_blocks):
    rng = np.random.default_rng(0)
    for width in (1, 3, 513, 9001):
        row, other = rng.normal(size=(2, width)).astype(np.float32)
        alone = _rows.squared_distances(row[None], other)
        np.testing.assert_allclose(alone, cdist(row[None].astype(float), other[None].astype(float), "sqeuclidean")[0])
        for count in (2, 7, 100):
            rows = np.repeat(row[None], count, axis=0)
            assert (_rows.squared_distances(rows, other) == alone).all()
            assert (_rows.dots(rows, rows) == _rows.dots(rows, row)).all()
            assert (_rows.dots(rows, rows) == _rows.dots(row[None], row)).all()


def test_two_rows():
    assert k_center_greedy(np.array([[0.0], [1.0]], np.float32), [1], 1).tolist() == [0]
    assert k_center_greedy(np.array([[0.0], [1.0]], np.float32), [], 2).tolist() == [0, 1]
    assert k_center_greedy([[0.0], [0.0]], [], 2).tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": np.array([[0.0], [np.nan], [1.0]])}, r"features\[1, 0\]: found nan"),
        ({"features": np.array([[0.0], [1.0], [-np.inf]])}, r"features\[2, 0\]: found -inf"),
        ({"features": np.array([[0.0], [1.0], [1e39]])}, r"features\[2, 0\]: found inf, expected a finite float32"),
        ({"features": np.zeros(3)}, r"features: found shape \(3,\)"),
        ({"features": np.zeros((3, 0))}, r"features: found shape \(3, 0\)"),
        ({"labeled": [0, 3]}, r"labeled\[1\]: found 3, expected 0\.\.2"),
        ({"labeled": [-1]}, r"labeled\[0\]: found -1, expected 0\.\.2"),
        ({"labeled": [2, 0, 2]}, r"labeled: found row 2 2 times, expected each row once"),
        ({"labeled": [0.5]}, r"labeled: found float64 of shape \(1,\), expected integers \(L,\)"),
        ({"labeled": [[0]]}, r"labeled: found int64 of shape \(1, 1\)"),
        ({"budget": 3}, r"budget: found 3, expected 1\.\.2"),
        ({"budget": 0}, r"budget: found 0, expected 1\.\.2"),
        ({"budget": -1}, r"budget: found -1, expected 1\.\.2"),
    ],
)
def test_what_is_wrong_is_named(change, message):
    arguments = {"features": np.zeros((3, 1)), "labeled": [0], "budget": 1} | change
    with pytest.raises(ValueError, match=message):
        k_center_greedy(**arguments)

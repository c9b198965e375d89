"""The labels that a strategy may see, and the strategy that uses them."""

import h5py
import numpy as np
import pytest
from helpers import write_pool
from sklearn.svm import LinearSVC

from poolflow.job import StageError
from poolflow.selection import Pool, select
from poolflow.strategies import svm_distance

SIZE = 40
INDICES = np.random.default_rng(0).permutation(50)[:SIZE]
LABELED = [5, 30, 2, 17, 11, 8]


def make(tmp_path, labels, classes=3, features=None, plugin=svm_distance, labeled=LABELED):
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        file["train/images"], file["train/labels"] = np.zeros((50, 2, 2, 1), np.uint8), labels
    write_pool(tmp_path / "pool.h5", INDICES, class_ids=np.arange(classes) * 2)
    with h5py.File(tmp_path / "features.h5", "w") as file:
        file["features"] = np.zeros((SIZE, 2), np.float32) if features is None else features
    return Pool(plugin, tmp_path / "pool.h5", labeled, {"features": tmp_path / "features.h5"}, tmp_path / "dataset.h5")


def test_labels_are_those_of_the_labelled_rows_in_their_order(tmp_path):
    labels = np.random.default_rng(1).integers(-1, 6, 50)  # -1: no label; 1, 3, 5: classes outside the pool's
    expected = [{0: 0, 2: 1, 4: 2}.get(labels[INDICES[row]], -1) for row in LABELED]
    assert make(tmp_path, labels).labels.tolist() == expected
    assert set(expected) > {-1}


def test_labels_of_other_rows_cannot_be_seen(tmp_path):
    labels = np.random.default_rng(1).integers(0, 3, 50) * 2
    others = np.setdiff1d(np.arange(50), INDICES[LABELED])
    features = np.random.default_rng(2).normal(size=(SIZE, 3)).astype(np.float32)

    def seen():
        pool = make(tmp_path, labels, features=features)
        return pool.labels.tolist(), pool, select(svm_distance, pool, 7, np.random.default_rng(0), {})

    first, pool, selection = seen()
    for _ in range(3):
        labels[others] = np.random.default_rng(3).permutation(labels[others])
        again, pool, same = seen()
        assert again == first
        np.testing.assert_array_equal(same, selection)
    arrays = [value for value in vars(pool).values() if isinstance(value, np.ndarray)]
    arrays += [value for value in vars(pool._candidates).values() if isinstance(value, np.ndarray)]
    assert not any(np.array_equal(array, labels) or np.array_equal(array, labels[INDICES]) for array in arrays)
    assert make(tmp_path, labels, labeled=[]).labels.tolist() == []


def test_labels_must_be_in_needs(tmp_path):
    class Plugin:
        __name__, NEEDS = "mine", ("features",)

    with pytest.raises(StageError, match=r"mine uses pool\.labels, which is not in its NEEDS"):
        _ = make(tmp_path, np.zeros(50, int), plugin=Plugin()).labels


@pytest.mark.parametrize("classes", [2, 3])
def test_svm_distance_is_scikit_learn_s(tmp_path, classes):
    rng = np.random.default_rng(classes)
    features = (rng.normal(size=(SIZE, 3)) * [1, 50, 0.01] + 7).astype(np.float32)
    labels = np.full(50, -1)
    labels[INDICES[LABELED[:5]]] = np.array([0, 1, 2, 0, 1]) % classes * 2  # the sixth has no answer
    pool = make(tmp_path, labels, classes, features)
    rows, scores = select(svm_distance, pool, 10, np.random.default_rng(0), {"C": 0.5})
    scaled = (features - features.mean(axis=0, dtype=float)) / features.std(axis=0, dtype=float)
    distances = []
    for label in range(classes) if classes > 2 else [1]:
        svm = LinearSVC(C=0.5, dual=False).fit(scaled[LABELED[:5]], np.array([0, 1, 2, 0, 1]) % classes == label)
        distances.append(svm.decision_function(scaled) / np.sqrt((svm.coef_**2).sum()))
    ordered = np.sort(distances, axis=0)
    expected = -abs(ordered[0]) if classes == 2 else ordered[-2] - ordered[-1]
    left = [row for row in range(SIZE) if row not in LABELED]
    assert rows.tolist() == sorted(left, key=lambda row: -expected[row])[:10]
    np.testing.assert_allclose(scores, expected[rows], rtol=1e-3, atol=1e-4)


def test_svm_distance_takes_constant_features_and_names_its_mistakes(tmp_path):
    labels = np.full(50, 2)
    with pytest.raises(StageError, match="found 1 class among the 6 labelled images that have a label, expected at l"):
        select(svm_distance, make(tmp_path, labels), 3, None, {})
    with pytest.raises(StageError, match="found 0 class among the 0 labelled images"):
        select(svm_distance, make(tmp_path, labels - 3), 3, None, {})
    labels[INDICES[LABELED[0]]] = 0
    features = np.random.default_rng(2).normal(size=(SIZE, 3)).astype(np.float32)
    features[:, 1] = 4
    rows, _ = select(svm_distance, make(tmp_path, labels, features=features), 3, None, {})
    assert len(rows) == 3

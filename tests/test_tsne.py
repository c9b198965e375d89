"""t-SNE of the features of a pretext task, for the map of the initial pools."""

import h5py
import numpy as np
import pytest
from helpers import write_h5
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from toy import C

from poolflow.job import Job, StageError
from poolflow.stages import tsne

JOB = Job("tsne", "toy", {"seed": 0, "rows": 50}, "abc")


def test_tsne_is_the_same_each_time_and_keeps_the_classes_apart(toy, tmp_path):
    pool, features = toy.folder / "pool/seed0.h5", toy.folder / "pretext/inputs/seed0/features.h5"
    for out in ("1.h5", "2.h5"):
        with threadpool_limits(1):  # as every stage has: OpenMP's threads wait for each other on a busy machine
            tsne.main(JOB, pool, features, tmp_path / out, [toy.labeled(name) for name in "abc"])
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()
    with h5py.File(tmp_path / "1.h5") as file:
        rows, embedding = file["rows"][:], file["embedding"][:]
    assert len(rows) == 50 == len(np.unique(rows))
    assert set(rows) >= {*range(18), *range(30, 42)}
    classes = rows % C
    distances = np.linalg.norm(embedding[:, None] - embedding, axis=2) + np.diag([np.inf] * 50)
    assert (classes[distances.argmin(axis=1)] == classes).mean() > 0.9


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(40, 80), st.integers(1, 90))
def test_the_sample_has_the_pools_first_and_never_too_many(pools, size, limit):
    rng = np.random.default_rng(0)
    chosen = np.sort(rng.choice(size, pools, replace=False))
    rows = tsne.sample(chosen, size, limit, rng)
    assert len(rows) == min(limit, size)
    assert (np.diff(rows) > 0).all()
    assert np.isin(chosen, rows).sum() == min(pools, limit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:-1], r"found features \(59, 8\) for a pool of 60"),
        (lambda x: x[:, :1], r"found features \(60, 1\)"),
        (lambda x: np.where(np.arange(8) == 3, np.nan, x), "found nan in row 0, expected finite"),
        (lambda x: x * 0, "the same features in every row"),
    ],
)
def test_features_that_cannot_be_laid_out(toy, tmp_path, change, message):
    features = toy.folder / "pretext/inputs/seed0/features.h5"
    with h5py.File(features) as file:
        values = change(file["features"][:])
    write_h5(features, features=values)
    with pytest.raises(StageError, match=message):
        tsne.main(JOB, toy.folder / "pool/seed0.h5", features, tmp_path / "out.h5", [toy.labeled("a")])

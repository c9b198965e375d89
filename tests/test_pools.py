"""What a pool's settings make of a data set: the counts that the papers state, and the images behind each candidate."""

from functools import partial

import h5py
import numpy as np
import pytest
from conftest import POOL
from hypothesis import given
from hypothesis import strategies as st

from poolflow.data.candidates import Candidates
from poolflow.job import Job, StageError
from poolflow.stages.pool import main
from poolflow.study.counts import long_tail, pool_size


def draw(folder, labels, seed=0, classes=None, images=None, **settings):
    """Draw the pool of a data set with the given training labels."""
    labels = np.asarray(labels)
    with h5py.File(folder / "dataset.h5", "w") as file:
        file["train/labels"] = labels
        file["train/images"] = np.zeros((len(labels), 1, 1, 1), "u1") if images is None else images
        file.attrs["classes"] = [f"class {c}" for c in range(classes or labels.max() + 1)]
    job = Job("pool", "data/seed0", POOL | {"seed": seed, "pool": POOL["pool"] | settings}, "")
    main(job, str(folder / "dataset.h5"), str(folder / "pool.h5"))
    return Candidates(folder / "pool.h5")


@pytest.fixture
def pool(tmp_path):
    return partial(draw, tmp_path)


CIFAR = np.arange(50_000) % 10


def counts(candidates, labels, minlength=10):
    return np.bincount(candidates.classes_of(labels)[candidates.indices], minlength=minlength).tolist()


def test_the_long_tail_of_factor_50_on_cifar10_is_cui_s(pool):
    candidates = pool(CIFAR, imbalance=50)
    assert counts(candidates, CIFAR) == [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100]
    assert len(candidates) == 13_996 == pool_size(50_000, 10, POOL["pool"] | {"imbalance": 50})
    assert long_tail(5000, 10, 50) == [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100]
    assert long_tail(500, 100, 10)[-1] == 50
    assert long_tail(500, 1, 10) == [500]


def test_a_long_tail_keeps_what_a_smaller_class_has(pool):
    labels = np.repeat([0, 1, 2], [10, 100, 100])
    assert counts(pool(labels, imbalance=2), labels, 3) == [10, 49, 35]


def test_a_flip_doubled_pool_has_each_image_and_its_mirror(pool):
    """S000, section 4.2: 25,000 images to start from, the other 25,000 doubled."""
    candidates = pool(CIFAR, start=25_000, flips=True)
    assert len(candidates) == 75_000 == pool_size(50_000, 10, POOL["pool"] | {"start": 25_000, "flips": True})
    assert candidates.given.sum() == 25_000
    assert not candidates.flip[candidates.given].any()
    rest = candidates.indices[~candidates.given]
    assert np.bincount(rest).max() == 2
    assert len(np.unique(rest)) == 25_000
    assert candidates.flip.sum() == 25_000
    assert not np.isin(rest, candidates.indices[candidates.given]).any()


def test_an_inflated_pool_is_drawn_with_replacement(pool):
    """S000, section 4.4: 150,000 candidates of 25,000 images and their mirrors."""
    settings = {"start": 25_000, "flips": True, "bootstrap": 3}
    candidates = pool(CIFAR, **settings)
    assert len(candidates) == 175_000 == pool_size(50_000, 10, POOL["pool"] | settings)
    rest = ~candidates.given
    assert rest.sum() == 150_000
    drawn = np.unique(np.stack([candidates.indices[rest], candidates.flip[rest]]), axis=1).shape[1]
    assert drawn == pytest.approx(50_000 * (1 - np.exp(-3)), rel=0.01)


def test_class_discovery_has_known_and_novel_classes(pool):
    """S003, section 3: 10 known classes x 100 given, 100 more of each and 100 of each of 10 novel classes."""
    labels = np.arange(50_000) % 100
    settings = {"known_classes": 10, "novel_classes": 10, "images_per_class": 100}
    candidates = pool(labels, **settings)
    assert len(candidates) == 3000 == pool_size(50_000, 100, POOL["pool"] | settings)
    assert candidates.classes == 20
    classes = candidates.classes_of(labels)[candidates.indices]
    assert np.bincount(classes).tolist() == [200] * 10 + [100] * 10
    assert np.bincount(classes[candidates.given], minlength=20).tolist() == [100] * 10 + [0] * 10
    test_labels = np.arange(10_000) % 100
    assert (candidates.classes_of(test_labels) >= 0).sum() == 2000
    assert set(candidates.classes_of(test_labels)) == set(range(-1, 20))
    other = pool(labels, seed=1, **settings)
    assert not np.array_equal(other.classes_of(np.arange(100)), candidates.classes_of(np.arange(100)))


def test_a_redundant_pool_has_noise_of_its_own_on_each_copy(pool, tmp_path):
    images = np.full((40, 8, 8, 1), 128, np.uint8)
    candidates = pool(np.arange(40) % 2, images=images, copies=3, noise=0.05)
    assert len(candidates) == 120
    assert np.bincount(candidates.indices).tolist() == [3] * 40
    with h5py.File(tmp_path / "dataset.h5") as file:
        all_rows = candidates.read(file, np.arange(120))
        np.testing.assert_array_equal(candidates.read(file, np.array([77, 3])), all_rows[[77, 3]])
    assert len(np.unique(all_rows.reshape(120, -1), axis=0)) == 120
    deviation = all_rows.astype(float) - 128
    assert deviation.mean() == pytest.approx(0, abs=0.5)
    assert deviation.std() == pytest.approx(0.05 * 255, rel=0.05)


def test_noise_stays_in_the_range_of_pixels(pool, tmp_path):
    images = np.repeat([0, 255], 20).astype(np.uint8).reshape(-1, 1, 1, 1) * np.ones((4, 4, 3), np.uint8)
    candidates = pool(np.arange(40) % 2, images=images, noise=0.1)
    with h5py.File(tmp_path / "dataset.h5") as file:
        values = candidates.read(file, np.arange(40))
    assert values[:20].max() < 128 < values[20:].min()


def test_a_mirrored_candidate_is_read_mirrored(pool, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    candidates = pool([0, 1] * 3, images=images, flips=True)
    assert candidates.indices.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    with h5py.File(tmp_path / "dataset.h5") as file:
        for rows in ([0, 1], [11, 4, 5], [2]):
            for value, row in zip(candidates.read(file, np.array(rows)), rows, strict=True):
                image = images[row // 2]
                np.testing.assert_array_equal(value, image[:, ::-1] if row % 2 else image)


def test_a_subset_and_its_validation_split(pool):
    candidates = pool(CIFAR, subset=1000, validation=0.1)
    together = np.concatenate([candidates.indices, candidates.validation])
    assert len(np.unique(together)) == 1000
    drawn = np.bincount(CIFAR[together], minlength=10)
    assert np.bincount(CIFAR[candidates.validation], minlength=10).tolist() == [round(0.1 * n) for n in drawn]
    assert len(set(drawn)) > 1  # drawn at random, not by class


def test_unlabelled_images_stay_in_the_pool_and_out_of_the_validation(pool):
    labels = np.where(np.arange(100) < 60, np.arange(100) % 2, -1)
    candidates = pool(labels, classes=2, validation=0.2)
    assert (labels[candidates.validation] >= 0).all()
    assert len(candidates.validation) == 12
    assert (candidates.classes_of(labels)[candidates.indices] < 0).sum() == 40
    np.testing.assert_array_equal(candidates.given, labels[candidates.indices] >= 0)


@given(
    st.sampled_from([0, 20, 40]),
    st.integers(1, 3),
    st.booleans(),
    st.integers(1, 3),
    st.sampled_from([0.0, 0.1, 0.5]),
    st.sampled_from([0, 5]),
    st.sampled_from([1, 3]),
)
def test_the_size_is_known_beforehand(tmp_path_factory, subset, copies, flips, bootstrap, validation, start, imbalance):
    """Class discovery aside, the counts that the config check uses are those of the pool."""
    folder = tmp_path_factory.mktemp("pool")
    settings = {"flips": flips, "bootstrap": bootstrap, "copies": copies, "validation": validation, "start": start}
    settings |= {"imbalance": imbalance, "subset": subset}
    labels = np.arange(100) % 5
    candidates = draw(folder, labels, **settings)
    expected = pool_size(100, 5, POOL["pool"] | settings)
    # The validation part is rounded by class.
    slack = 5 * bootstrap * copies * 2 if validation else 0
    assert abs(len(candidates) - expected) <= slack
    with h5py.File(folder / "pool.h5") as file:
        assert not np.isin(file["validation"][:], file["indices"][:]).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"subset": 101}, "pool.subset: found 101, expected at most the 100 images that are left"),
        ({"start": 95, "validation": 0.1}, "pool.start: found 95, expected at most the 90 images that are left"),
        ({"known_classes": 2, "images_per_class": 40}, "80 images of class"),
        ({"known_classes": 2, "novel_classes": 1}, "found 2 known \\+ 1 novel classes, expected at most 2"),
        ({"validation": 0.9, "subset": 1}, "pool.validation: found 0.9, which leaves no pool"),
    ],
)
def test_a_pool_that_cannot_be_drawn_is_one_line(pool, settings, message):
    with pytest.raises(StageError, match=message):
        pool(np.arange(100) % 2, **settings)


def test_features_cannot_be_mirrored(tmp_path):
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        file["train/labels"], file["train/features"] = np.arange(4), np.zeros((4, 3))
        file.attrs["classes"] = list("abcd")
    for settings in ({"flips": True}, {"noise": 0.1}):
        job = Job("pool", "data/seed0", POOL | {"pool": POOL["pool"] | settings}, "")
        with pytest.raises(StageError, match="need images; this data set is a table of features"):
            main(job, tmp_path / "dataset.h5", tmp_path / "pool.h5")


def test_the_validation_split_is_the_same_for_every_initial_pool_and_differs_by_seed(pool):
    first = pool(CIFAR[:500], validation=0.1)
    assert np.array_equal(first.validation, pool(CIFAR[:500], validation=0.1).validation)
    assert not np.array_equal(first.validation, pool(CIFAR[:500], seed=1, validation=0.1).validation)


# A study that would run out of images


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ((20, 10, 8), None),
        (
            (20, 10, 9),
            r"initial_size 20 \+ budget 10 x cycles 9 = 110 labels, expected at most the 100 images in the pool",
        ),
        ((0, 10, 7), None),
        ((0, 10, 8), r"initial_size 30 \+ budget 10 x cycles 8 = 110 labels, expected at most the 100 images"),
        ((101, 1, 0), "initial_size 101"),
    ],
)
def test_a_study_that_would_run_out_of_images_is_refused_by_the_pool(tmp_path, pool, asked, expected):
    pool(np.arange(100) % 4, start=30)
    job = Job("pool", "data/seed0", POOL | {"pool": POOL["pool"] | {"start": 30}}, "")
    paths = str(tmp_path / "dataset.h5"), str(tmp_path / "asked.h5")
    if expected is None:
        main(job, *paths, asked=[str(number) for number in asked])
        return
    with pytest.raises(StageError, match=f"budget: found {expected}"):
        main(job, *paths, asked=[str(number) for number in asked])
    assert not (tmp_path / "asked.h5").exists()


@pytest.mark.parametrize(("left", "fails"), [(3, False), (300, True)])
def test_a_study_that_is_extended_beyond_its_pool_is_refused_by_its_first_new_acquisition(
    stage, cycle0, tmp_path, left, fails
):
    config = {"strategy": "random", "parameters": {}, "budget": 5, "seed": 0, "threads": 1}
    done = stage("acquire", config, **cycle0, out=tmp_path / "o.h5", cycle=(1, left))
    assert done.returncode == fails
    if fails:
        found = "budget: found 10 labels and 300 more cycles of 5, expected at most the 1295 images in the pool"
        assert found in done.stderr.splitlines()[-1]


def test_the_labelled_set_of_another_cycle_is_refused(stage, cycle0, tmp_path):
    config = {"strategy": "random", "parameters": {}, "budget": 5, "seed": 0, "threads": 1}
    done = stage("acquire", config, **cycle0, out=tmp_path / "o.h5", cycle=(2, 3))
    assert "labeled.h5: found the labelled set of cycle 0, expected that of cycle 1; make repair" in done.stderr


def test_one_more_cycle_makes_no_pool_and_no_acquisition_anew(finished, tmp_path):
    project = finished.copy(tmp_path / "p")
    project.configure(cycles=3)
    planned = project.planned()
    assert planned
    assert not [path for path in planned if "/pool/" in path or "cycle1/" in path or "cycle2/labeled" in path]

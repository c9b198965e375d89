"""Newer choices, each against its definition worked out another way."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from poolflow.initial_pools import kmeans_centres
from poolflow.job import StageError
from poolflow.kernels import active_ft, dcom, direct, galaxy, margin, propagation, unit
from poolflow.kernels.active_ft import loss_and_gradient
from poolflow.kernels.dcom import competence, radius
from poolflow.kernels.direct import accuracies, around, ends
from poolflow.kernels.errors import InputError
from poolflow.strategies import _subset, alfa_mix, boss, jlp, refine, uherding

RNG = np.random.default_rng


def unit_clouds(sizes, width=6, seed=0):
    """Return unit vectors in clouds of the given sizes (N, D) float32, and the cloud of each."""
    rng = RNG(seed)
    cloud = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return unit(4 * np.eye(len(sizes), width)[cloud] + rng.normal(size=(len(cloud), width))).astype(np.float32), cloud


# JLP


def dense(features, neighbours, power):
    """Return D^-1/2 (A + A^T) D^-1/2 of all cosines, as a matrix."""
    cosines = unit(features).astype(float) @ unit(features).astype(float).T
    one_way = np.zeros_like(cosines)
    for row in range(len(cosines)):
        others = np.delete(np.arange(len(cosines)), row)
        near = others[np.argsort(-cosines[row, others], kind="stable")[:neighbours]]
        one_way[row, near] = np.maximum(cosines[row, near], 0) ** power
    both = one_way + one_way.T
    scale = 1 / np.sqrt(np.where(both.sum(axis=1) > 0, both.sum(axis=1), np.inf))
    return scale[:, None] * both * scale


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 5))
def test_jlp_takes_what_the_closed_form_reaches_least(seed, neighbours, known):
    features, alpha = RNG(seed).normal(size=(12, 3)), 0.9
    labeled = RNG(seed).permutation(12)[:known]
    inverse = np.linalg.inv(np.eye(12) - alpha * dense(features, neighbours, 2.0))
    found, scores = propagation.least_reached(propagation.graph(features, neighbours, 2.0), labeled, 5, alpha)
    chosen = labeled.tolist()
    for row, score in zip(found, scores, strict=True):
        reached = inverse[:, chosen].sum(axis=1)
        left = np.setdiff1d(np.arange(12), chosen)
        assert reached[row] == pytest.approx(reached[left].min(), abs=1e-4)
        assert -score == pytest.approx(reached[row], abs=1e-4)
        chosen.append(int(row))


def test_jlp_of_a_path_takes_its_far_end_first():
    angles = np.deg2rad([0, 20, 40, 60, 80])
    features = np.column_stack([np.cos(angles), np.sin(angles)])
    pool = SimpleNamespace(features=features, labeled=np.array([0]))
    assert jlp.select(pool, 2, RNG(0), neighbours=1)[0][0] == 4
    with pytest.raises(InputError, match=r"^budget: found 5, expected 1 to 4, the number of unlabelled rows$"):
        jlp.select(pool, 5, RNG(0))
    with pytest.raises(InputError, match=r"^alpha: found 1"):
        jlp.select(pool, 1, RNG(0), alpha=1.0)


# ActiveFT


def torch_loss(features, raw, temperature):
    """The loss as its authors' code has it."""
    points = F.normalize(raw, dim=1)
    cosines, nearest = (features @ points.T).max(dim=1)
    near = torch.exp(cosines / temperature)
    apart = torch.exp(points.detach() @ points.T / temperature).sum(dim=0)
    return -torch.log(near / (near + apart[nearest])).mean()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.floats(0.05, 1))
def test_the_loss_of_active_ft_and_its_gradient_are_those_of_torch(seed, size, temperature):
    rng = RNG(seed)
    features, points = unit(rng.normal(size=(40, 5))), rng.normal(size=(size, 5))
    loss, gradient = loss_and_gradient(features, points, temperature)
    raw = torch.tensor(points, requires_grad=True)
    expected = torch_loss(torch.tensor(features), raw, temperature)
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-9)
    np.testing.assert_allclose(gradient, raw.grad, rtol=1e-7, atol=1e-10)


def test_active_ft_is_torch_s_adam_and_then_the_nearest_free_rows():
    features, cloud = unit_clouds([10, 20, 30])
    features = features.astype(np.float64)
    rows, scores = active_ft(features, 6, RNG(3), iterations=50, learning_rate=0.01)
    raw = torch.tensor(features[RNG(3).choice(60, 6, replace=False)], requires_grad=True)
    adam = torch.optim.Adam([raw], lr=0.01)
    for _ in range(50):
        adam.zero_grad()
        torch_loss(torch.tensor(features), raw, 0.07).backward()
        adam.step()
    points, taken = F.normalize(raw.detach(), dim=1).numpy(), []
    for point, score in zip(points, scores, strict=True):
        distances = np.linalg.norm(features - point, axis=1)
        distances[taken] = np.inf
        taken.append(int(distances.argmin()))
        assert -score == pytest.approx(distances.min(), rel=1e-6)
    assert rows.tolist() == taken
    assert set(cloud[rows]) == {0, 1, 2}
    assert sorted(active_ft(features, 60, RNG(0), iterations=2)[0]) == list(range(60))
    with pytest.raises(InputError, match=r"^size: found 61, expected 1 to 60"):
        active_ft(features, 61, RNG(0))


# K-means centres


def test_centres_of_separate_clouds_are_one_of_each():
    cloud = RNG(0).permutation(np.repeat([0, 1, 2], [5, 20, 40]))
    features = np.eye(3, 6)[cloud] + RNG(1).normal(size=(65, 6)) / 20
    rows, scores = kmeans_centres.select(SimpleNamespace(features=20 * features), 3, RNG(0))
    assert sorted(cloud[rows]) == [0, 1, 2]
    for row, score in zip(rows, scores, strict=True):
        members = np.flatnonzero(cloud == cloud[row])
        distances = np.linalg.norm(20 * (features[members] - features[members].mean(axis=0)), axis=1)
        assert row == members[distances.argmin()]
        assert -score == pytest.approx(distances.min(), rel=1e-3)


# ALFA-Mix


class Small(nn.Module):
    """A network whose features are its inputs."""

    def __init__(self, weights, biases):
        super().__init__()
        self.features = nn.Flatten()
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(*weights.shape[::-1]))
        self.head[1].weight.data, self.head[1].bias.data = torch.tensor(weights), torch.tensor(biases)


def mixed_view(seed=0, size=60, classes=3, width=4, labeled=6):
    """Return what ALFA-Mix sees of a pool whose images are features, and the network's weights."""
    rng = RNG(seed)
    features = rng.normal(size=(size, width)).astype(np.float32)
    weights, biases = rng.normal(size=(classes, width)).astype(np.float32), rng.normal(size=classes).astype(np.float32)
    rows = np.arange(labeled)
    view = SimpleNamespace(
        size=size, classes=classes, labeled=rows, unlabeled=np.arange(labeled, size), images=features
    )
    view.labels, view.network = rng.integers(0, classes, labeled), Small(weights, biases).eval()
    return view, weights.astype(float), biases.astype(float)


@pytest.fixture(autouse=True)
def network_of_view(monkeypatch):
    for module in (alfa_mix, boss):
        monkeypatch.setattr(module, "network_of", lambda view: (view.network, torch.Tensor.float))
    monkeypatch.setattr(_subset, "ALONE", (*_subset.ALONE, "network"))


def changes(view, weights, biases, cap):
    """Return which unlabelled rows change their class, mixing each with each anchor as the paper's alpha has it."""
    known, found = view.images[view.labeled].astype(float), []
    anchors = [known[view.labels == c] if (view.labels == c).any() else known for c in range(view.classes)]
    for row in view.unlabeled:
        z = torch.tensor(view.images[row].astype(float), requires_grad=True)
        logits = torch.tensor(weights) @ z + torch.tensor(biases)
        predicted = int(logits.argmax())
        F.cross_entropy(logits[None], torch.tensor([predicted])).backward()
        g, values = z.grad.numpy(), z.detach().numpy()
        flipped = False
        for of in anchors:
            apart = of.mean(axis=0) - values
            eps = cap / np.sqrt(len(values))
            alpha = eps * np.linalg.norm(apart) / np.linalg.norm(g) * g / apart
            mixed = (1 - alpha) * values + alpha * of.mean(axis=0)
            flipped |= int((weights @ mixed + biases).argmax()) != predicted
        found.append(flipped)
    return np.array(found)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_changes_where_mixing_with_some_anchor_changes_it(seed):
    view, weights, biases = mixed_view(seed)
    anchors = alfa_mix.anchors(view, view.images)
    found = alfa_mix.turning_point(view.images[view.unlabeled], anchors, weights, biases)
    for cap in (0.05, 0.3, 1.0, 3.0):
        np.testing.assert_array_equal(found < cap, changes(view, weights, biases, cap))


def test_alfa_mix_takes_the_centres_of_what_changes_soonest():
    view, weights, biases = mixed_view()
    rows, _ = alfa_mix.select(view, 3, RNG(0))
    cap = next(cap for cap in 0.03125 * np.arange(1, 33) if changes(view, weights, biases, cap).sum() > 3)
    assert set(rows) <= set(view.unlabeled[changes(view, weights, biases, cap)])
    assert len(set(rows)) == 3


def test_too_few_candidates_of_alfa_mix_are_filled_up():
    view, _, _ = mixed_view()
    view.network.head[1].bias.data = torch.tensor([100.0, 0, 0])  # nothing changes
    rows, scores = alfa_mix.select(view, 5, RNG(0))
    assert len(set(rows)) == 5
    assert set(rows) <= set(view.unlabeled)
    assert scores.tolist() == [alfa_mix.FILLED] * 5


def test_of_a_class_without_a_label_the_anchor_is_the_mean_of_all():
    view, _, _ = mixed_view()
    view.labels[:] = 1
    anchors = alfa_mix.anchors(view, view.images)
    np.testing.assert_allclose(anchors, np.tile(view.images[:6].mean(axis=0), (3, 1)), rtol=1e-6)


# DCoM


def test_the_competence_is_the_published_one():
    assert [competence(c) for c in (1, 0.8, 0.75, 0.85)] == [1, 0.5, 0.076, 0.924]


def test_a_radius_is_the_largest_whose_ball_is_right_enough():
    distances = np.arange(0, 1.1, 0.01)
    for last in (0.2, 0.47, 0.9):
        found = radius(distances, distances < last, 1.0)
        assert abs(found - last) <= 0.06
    assert radius(distances, np.ones(110, bool), 0.5) > 1.04
    assert radius(distances, np.zeros(110, bool), 0.5) < 0.06


def brute_dcom(features, uncertainty, predicted, labeled, labels, budget, delta):
    """DCoM with all distances at once."""
    apart = np.linalg.norm(features[:, None].astype(float) - features[None], axis=2)
    first = (apart[labeled] < delta).any(axis=0).mean() if len(labeled) else 0
    radii = [
        radius(apart[row], predicted == label, 0.2 * first + 0.4) for row, label in zip(labeled, labels, strict=True)
    ]
    covered = np.zeros(len(features), bool)
    for row, size in zip(labeled, radii, strict=True):
        covered |= apart[row] < size
    share, mean = competence(covered.mean()), np.mean(radii) if len(radii) else delta
    u = (uncertainty - uncertainty.min()) / np.ptp(uncertainty)
    u[labeled], rows = 0, []
    for _ in range(budget):
        degrees = (apart[:, ~covered] < mean).sum(axis=1).astype(float)
        spread = np.ptp(degrees)
        values = share * u + (1 - share) * ((degrees - degrees.min()) / spread if spread else 0 * degrees)
        values[[*labeled, *rows]] = -1
        rows.append(int(values.argmax()))
        u[rows[-1]] = 0
        covered |= apart[rows[-1]] < mean
    return rows


@pytest.mark.parametrize("seed", range(8))
def test_dcom_is_its_definition_with_all_distances(seed):
    features, cloud = unit_clouds([10, 20, 30], seed=seed)
    rng = RNG(seed)
    probs = rng.dirichlet(np.ones(3), 60)
    predicted = np.where(rng.random(60) < 0.8, cloud, rng.integers(0, 3, 60))
    for count in (0, 1, 12):
        labeled = rng.permutation(60)[:count]
        given_ = (features, margin(probs), predicted, labeled, cloud[labeled], 8)
        rows, scores = dcom(*given_, delta=0.5)
        assert rows.tolist() == brute_dcom(*given_, 0.5)
        assert ((scores >= 0) & (scores <= 1)).all()


def test_dcom_covers_at_first_and_asks_for_uncertain_images_in_the_end():
    features, cloud = unit_clouds([10, 20, 30])
    uncertainty = RNG(0).random(60)
    first, _ = dcom(features, uncertainty, cloud, np.empty(0, np.int64), np.empty(0, np.int64), 3, delta=0.9)
    assert sorted(cloud[first]) == [0, 1, 2]
    labeled = np.concatenate([np.flatnonzero(cloud == c)[:9] for c in range(3)])
    rows, _ = dcom(features, uncertainty, cloud, labeled, cloud[labeled], 3)
    left = np.setdiff1d(np.arange(60), labeled)
    assert rows.tolist() == left[np.argsort(-uncertainty[left])[:3]].tolist()
    with pytest.raises(InputError, match=r"^delta: found 0"):
        dcom(features, uncertainty, cloud, labeled, cloud[labeled], 3, delta=0)


# GALAXY


def test_galaxy_halves_a_line_until_it_knows_where_two_classes_meet():
    """One line, 0 ... 0 1 ... 1: from its two ends about log2 of its length are enough; then it stays there."""
    size, cut = 129, 90
    share = np.linspace(0.9, 0.1, size)
    probs = np.column_stack([share, 1 - share])
    truth = (np.arange(size) >= cut).astype(int)
    rows, scores = galaxy(probs, np.array([0, size - 1]), np.array([0, 1]), truth, 12, RNG(0))
    assert rows[0] == 64
    assert {cut - 1, cut} <= {*rows[:7]}
    assert (scores[:7] <= -1).all()
    near = np.abs(rows[7:] - (cut - 0.5))
    assert near.max() <= 5  # after the cut is known, the nearest to it
    assert len(set(rows)) == 12


def test_galaxy_takes_the_shortest_run_and_where_there_is_no_cut_a_random_one():
    share = np.linspace(0.9, 0.1, 20)
    probs = np.column_stack([share, 1 - share])
    # 0 at place 0, 1 at 9, 0 at 12, 1 at 19: runs of 8, 2 and 6.
    rows, scores = galaxy(probs, np.array([0, 9, 12, 19]), np.array([0, 1, 0, 1]), np.zeros(20, int), 1, RNG(0))
    assert rows[0] in (10, 11)
    assert scores[0] == -1
    first = [galaxy(probs, np.array([0]), np.array([0]), np.zeros(20, int), 1, RNG(s))[0][0] for s in range(200)]
    assert set(first) == set(range(1, 20))
    # A label that is none of the classes is not of the class.
    rows, _ = galaxy(probs, np.array([0, 19]), np.array([0, -1]), np.full(20, -1), 19 - 1, RNG(0))
    assert sorted(rows) == list(range(1, 19))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_galaxy_asks_for_different_unlabelled_rows(seed, classes):
    rng = RNG(seed)
    probs, truth = rng.dirichlet(np.ones(classes), 30), rng.integers(-1, classes, 30)
    labeled = rng.permutation(30)[: rng.integers(0, 6)]
    rows, scores = galaxy(probs, labeled, truth[labeled], truth, 30 - len(labeled), rng)
    assert sorted(rows) == np.setdiff1d(np.arange(30), labeled).tolist()
    assert np.isfinite(scores).all()


# DIRECT


def test_the_accuracy_of_a_threshold_is_what_it_gets_right_less_what_it_gets_wrong():
    votes = np.array([1, 0, 1, -1, 1, 0, -1, -1])
    expected = [votes[:place].sum() - votes[place:].sum() for place in range(9)]
    assert accuracies(votes).tolist() == expected
    # Without wrong labels the best threshold separates them.
    clean = np.repeat([1, 0, -1], [3, 2, 4])
    assert accuracies(clean).argmax() == 3
    assert accuracies(clean)[3:6].tolist() == [7, 7, 7]


def test_the_ends_of_a_line_are_the_last_sure_label_from_each_side():
    assert ends(np.array([1, 0, 1, 0, -1, 1, 0, -1, -1])) == (2, 7)
    assert ends(np.array([0, 0, 0])) == (0, 2)
    assert ends(np.array([0, 1, 0])) == (1, 2)
    assert ends(np.array([-1, 0, 1])) == (0, 2)


def test_around_a_threshold_left_and_right_take_turns():
    line, known = np.arange(10), np.full(10, -2)
    known[[4, 5, 7]] = 0
    assert around(line, 5, known).tolist() == [3, 6, 2, 8, 1, 9, 0]
    assert around(line, 0, known).tolist() == [0, 1, 2, 3, 6, 8, 9]


def test_direct_narrows_down_a_threshold_and_asks_on_both_sides():
    """500 rows of class 0 and then 100 of class 1, a tenth of their labels wrong."""
    rng = RNG(0)
    share = np.linspace(0.95, 0.05, 600)
    probs = np.column_stack([share, 1 - share])
    truth = (np.arange(600) >= 500).astype(int)
    noisy = np.where(rng.random(600) < 0.1, 1 - truth, truth)
    labeled = np.array([0, 1, 2, 597, 598, 599])
    rows = direct(probs, labeled, truth[labeled], noisy, 200, RNG(1), parallel=10, least=60)
    assert len(set(rows)) == 200
    assert not set(rows) & set(labeled)
    near = rows[100:]  # two classes with 50 rows each have narrowed it down before
    assert (np.abs(near - 499.5) < 110).mean() > 0.9
    assert abs((near < 500).mean() - 0.5) < 0.2
    # The first round is drawn between the ends, which are the labelled rows; later ones lie closer.
    assert np.abs(rows[40:50] - 499.5).mean() < np.abs(rows[:10] - 499.5).mean()


def test_half_of_the_budget_is_for_the_rarest_classes():
    rng = RNG(0)
    probs, truth = rng.dirichlet(np.ones(4), 400), np.repeat([0, 1, 2, 3], [200, 150, 40, 10])
    labeled = np.concatenate([np.flatnonzero(truth == c)[: 8 - 2 * c] for c in range(4)])
    asked = []
    narrow = direct.__globals__["narrow"]
    with pytest.MonkeyPatch.context() as patch:
        noted = lambda line, label, *rest: asked.append((label, rest[2])) or narrow(line, label, *rest)  # noqa: E731
        patch.setitem(direct.__globals__, "narrow", noted)
        direct(probs, labeled, truth[labeled], truth, 40, RNG(0))
        assert asked == [(0, 5), (1, 5), (2, 5), (3, 5)]  # 40 / 4 / 2
        asked.clear()
        direct(probs, labeled, truth[labeled], truth, 40, RNG(0), least=5)
        assert asked == [(0, 5), (1, 5), (2, 5), (3, 5)]
        asked.clear()
        direct(probs, labeled, truth[labeled], truth, 40, RNG(0), least=4)
        assert len(asked) == 4
        asked.clear()
        direct(probs, labeled, truth[labeled], truth, 100, RNG(0), least=12)
        assert asked == [(0, 12), (1, 12), (2, 12), (3, 12)]
        asked.clear()
        direct(probs, labeled, truth[labeled], truth, 200, RNG(0), least=25)
        assert len(asked) == 4
        asked.clear()
        direct(probs, labeled, truth[labeled], truth, 240, RNG(0), least=30)
        assert {label for label, _ in asked} == {0, 1, 2, 3}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_direct_asks_for_different_unlabelled_rows(seed, classes):
    rng = RNG(seed)
    probs, truth = rng.dirichlet(np.ones(classes), 30), rng.integers(-1, classes, 30)
    labeled = rng.permutation(30)[: rng.integers(0, 6)]
    budget = int(rng.integers(1, 31 - len(labeled)))
    rows = direct(probs, labeled, truth[labeled], truth, budget, rng, parallel=3)
    assert len(set(rows)) == budget
    assert not set(rows) & set(labeled)


# Refine and BoSS


def whole_view(size=80, seed=0):
    view, weights, biases = mixed_view(seed, size)
    view.features = view.images
    logits = view.images @ weights.T + biases
    view.probs = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    view.oracle = logits.argmax(axis=1)
    view.test = RNG(9).normal(size=(50, 4)).astype(np.float32), RNG(8).integers(0, 3, 50)
    return view


def test_refine_has_pools_in_pools_and_ends_with_uherding(monkeypatch):
    view, seen = whole_view(), []

    def noted(pool, strategy, unlabeled, budget, rng):
        seen.append(unlabeled)
        return rng.choice(unlabeled, budget, replace=False)

    monkeypatch.setattr(_subset, "ask", noted)
    monkeypatch.setattr(refine, "FIRST", 40)
    rows, _ = refine.select(view, 4, RNG(0), rounds=3, draws=14)
    assert len(seen) == 3 * 14
    assert [len(part) for part in seen[:14]] == [40] * 14
    pools = [set(np.concatenate(seen[turn : turn + 14])) for turn in (0, 14, 28)]
    assert pools[0] >= pools[1] >= pools[2]
    assert len(pools[1]) <= 14 * 4
    assert set(rows) <= pools[2]
    assert len(seen[14]) == max(4, round(0.4 * len(pools[1] | set(np.concatenate(seen[14:28])))))


def test_refine_of_one_round_and_few_images_is_uherding_on_what_its_members_asked_for():
    view = whole_view()
    rows, _ = refine.select(view, 5, RNG(0), rounds=1, draws=7)
    assert len(set(rows)) == 5
    assert set(rows) <= set(view.unlabeled)
    part = _subset.Subset(view, view.unlabeled)
    np.testing.assert_array_equal(part.features[part.labeled], view.features[view.labeled])
    again = part.rows[uherding.select(part, 5, RNG(0))[0]]
    np.testing.assert_array_equal(again, uherding.select(view, 5, RNG(0))[0])


def test_boss_takes_the_batch_with_the_least_error(monkeypatch):
    view, seen, error = whole_view(), [], boss.error
    monkeypatch.setattr(boss, "error", lambda *given: seen.append((error(*given), given[1])) or seen[-1][0])
    rows, scores = boss.select(view, 4, RNG(0), batches=12)
    assert len(seen) == 12
    least = min(value for value, _ in seen)
    np.testing.assert_array_equal(rows, next(batch for value, batch in seen if value == least))
    assert scores.tolist() == [-least] * 4
    assert all(set(batch) <= set(view.unlabeled) for _, batch in seen)


def test_the_error_of_boss_is_that_of_a_new_last_layer():
    view = whole_view()
    features = view.test[0]
    truth = (features @ [1, 0, 0, 0] > 0).astype(int)
    view.labels, view.oracle = (
        (view.images[:6] @ [1, 0, 0, 0] > 0).astype(int),
        (view.images @ [1, 0, 0, 0] > 0).astype(int),
    )
    assert boss.error(view, np.arange(6, 60), view.images, features, truth, 0.01) < 0.1
    view.labels, view.oracle = np.full(6, 2), np.full(80, 2)
    assert boss.error(view, np.array([7]), view.images, features, truth, 1.0) == 1


def test_boss_says_what_it_lacks():
    view = whole_view()
    view.test = view.test[0][:0], view.test[1][:0]
    with pytest.raises(StageError, match=r"^boss: found no test image"):
        boss.select(view, 2, RNG(0))
    view = whole_view()
    view.oracle[:70] = -1
    with pytest.raises(StageError, match=r"^budget: found 11, expected at most the 10 images with a known class$"):
        boss.select(view, 11, RNG(0))

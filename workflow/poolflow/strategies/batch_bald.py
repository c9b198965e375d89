"""BatchBALD: pick, one after another, the image whose label adds most to what the batch tells about the passes.

Kirsch, van Amersfoort & Gal (2019). Score: the conditional mutual information with the pass given the labels of the
picks before it, in nats; an image like one that is picked adds little. The joint labels are enumerated while they are
no more than `joint_samples`, then drawn. The information reaches ln T after a few picks: later ones are by BALD alone.
Cost: T passes with dropout; O(joint_samples T C) for each candidate that a bound does not leave out, each pick.
"""

from poolflow.kernels import batch_bald

NEEDS = ("mc_probs",)
BOUNDS = {"joint_samples": ">= 1"}


def select(pool, budget, rng, joint_samples: int = 10_000):
    """Return `budget` unlabelled rows in the order picked."""
    places, gains = batch_bald(pool.mc_probs[pool.unlabeled], budget, rng, joint_samples)
    return pool.unlabeled[places], gains

"""ActiveFT: points in the space of features, moved to where they stand for the pool and apart; the nearest images.

Xie, Lu, Yan, Yang, Tomizuka & Zhan (2023), "Active finetuning", on features scaled to length 1. As many points as
images asked for start at random ones. Adam moves them so that every image has one of a high cosine, and no two are
alike; each then gives the nearest image that is not taken. The paper chooses so the images to fine-tune a pretrained
network with. Score: minus the distance to the point. Cost: the pretext task, then O(N B D) each of `iterations`.
"""

from poolflow.kernels import active_ft, unit

NEEDS = ("features",)
PRETEXT = "simclr"
BOUNDS = {"iterations": ">= 0", "learning_rate": "> 0", "temperature": "> 0"}


def select(pool, size, rng, iterations: int = 300, learning_rate: float = 1e-3, temperature: float = 0.07):
    """Return a row for each point, in the order of the points."""
    return active_ft(unit(pool.features), size, rng, iterations, learning_rate, temperature)

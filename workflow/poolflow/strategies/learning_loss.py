"""Learning loss: ask for the images for which a module beside the network predicts the highest loss.

Yoo & Kweon (2019), Learning loss for active learning. The module averages intermediate layers over all positions, each
goes through a linear layer to 128 and ReLU, all together through one to the predicted loss. It learns with the network:
the cross-entropy, plus for the pairs (i, j) of a mini-batch the mean of max(0, 1 - sign(l_i - l_j) (p_i - p_j)), for
losses l and predictions p; after 60 % of the updates (120 of 200 epochs) the network no longer learns from it. Score:
the predicted loss, of which only the order has a meaning. The paper looks for the highest in 10,000 unlabelled images
drawn at random, `subset=10000`. Cost: one forward pass over the pool, and the module in training; then O(N log N).
"""

from poolflow.kernels import top_k

NEEDS = ("predicted_loss",)
BOUNDS = {"subset": "0 or >= budget"}


def select(pool, budget, rng, subset=0):
    """Return the `budget` unlabelled rows of the highest score, best first; of `subset` random ones, 0 for all."""
    rows = pool.unlabeled
    if 0 < subset < len(rows):
        rows = rng.choice(rows, subset, replace=False)
        rows.sort()
    return top_k(pool.predicted_loss, budget, rows=rows)

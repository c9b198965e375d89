"""GALAXY: find where classes meet, image after image; an oracle control, since it reads the labels.

Zhang, Katz-Samuels & Nowak (2022), for long tails: rare classes are found where they meet the others. The images stand
on a line for each class, by its probability less the largest one; a class is drawn for each image, and on its line the
shortest run of unlabelled images between two labelled ones, of which one is of the class and the other is not, is
halved. Each image is chosen with the labels of all before it: within a batch that is a simulation. Score:
minus the distance on the line to the nearer end of the run. Cost: one forward pass over the pool, then
O(C N log N + b N) time and O(C N) memory.
"""

from poolflow.kernels import galaxy

NEEDS = ("probs", "labels", "oracle")


def select(pool, budget, rng):
    """Return `budget` unlabelled rows in the order asked for."""
    return galaxy(pool.probs, pool.labeled, pool.labels, pool.oracle, budget, rng)

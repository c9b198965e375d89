"""JLP: ask for the image that the labelled ones reach least, over a graph of neighbours, one after another.

Simeoni et al. (2021), "Rethinking deep active learning", in their code: the graph of label propagation on penultimate
features (`neighbours`, `power`, see the learner label_propagation) and its diffusion (`alpha`), but from all labelled
images alike, whatever their classes; the image that is reached least joins them, and the diffusion begins anew. Score:
minus what reaches it. Cost: one forward pass over the pool, a graph, O(N^2 D), and for each image asked for 20 steps of
conjugate gradients, O(N k).
"""

from poolflow.kernels import propagation

NEEDS = ("features",)
BOUNDS = {"neighbours": ">= 1", "power": "> 0", "alpha": ">= 0, < 1"}


def select(pool, budget, rng, neighbours: int = 50, power: float = 3.0, alpha: float = 0.99):
    """Return `budget` unlabelled rows in the order picked."""
    graph = propagation.graph(pool.features, neighbours, power)
    return propagation.least_reached(graph, pool.labeled, budget, alpha)

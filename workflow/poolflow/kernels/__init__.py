"""The numerical cores: exact, deterministic, free of files and of Snakemake. Lowest index first on ties.

What selects gives them rows in a random order (`poolflow.selection.Pool`), so that ties are drawn.
"""

from poolflow.kernels.active_ft import active_ft
from poolflow.kernels.allocation import quotas
from poolflow.kernels.badge import badge
from poolflow.kernels.bait import bait
from poolflow.kernels.bald import bald, batch_bald, power_bald
from poolflow.kernels.centres import nearest_to_centres
from poolflow.kernels.coverage import max_herding, prob_cover, pure_delta
from poolflow.kernels.dcom import dcom
from poolflow.kernels.direct import direct
from poolflow.kernels.galaxy import galaxy
from poolflow.kernels.kcenter import k_center_greedy
from poolflow.kernels.scaling import unit
from poolflow.kernels.typicality import typiclust
from poolflow.kernels.uncertainty import (
    entropy,
    least_confidence,
    margin,
    mc_entropy,
    mean_probs,
    top_k,
    variation_ratio,
    vote_entropy,
    vote_margin,
)

__all__ = [
    "active_ft",
    "badge",
    "bait",
    "bald",
    "batch_bald",
    "dcom",
    "direct",
    "entropy",
    "galaxy",
    "k_center_greedy",
    "least_confidence",
    "margin",
    "max_herding",
    "mc_entropy",
    "mean_probs",
    "nearest_to_centres",
    "power_bald",
    "prob_cover",
    "pure_delta",
    "quotas",
    "top_k",
    "typiclust",
    "unit",
    "variation_ratio",
    "vote_entropy",
    "vote_margin",
]

"""The numerical cores: exact, deterministic, free of files and of Snakemake. Lowest index first on ties."""

from poolflow.kernels.bait import bait
from poolflow.kernels.kcenter import k_center_greedy
from poolflow.kernels.uncertainty import entropy, least_confidence, margin, top_k

__all__ = ["bait", "entropy", "k_center_greedy", "least_confidence", "margin", "top_k"]

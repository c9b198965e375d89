"""Ensemble: several networks (`training.members`), trained alike from different random weights.

Lakshminarayanan, Pritzel & Blundell (2017), without their adversarial examples; Beluch et al. (2018).
"""

MEMBERS = "members"

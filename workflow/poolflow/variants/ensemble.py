"""Ensemble: several networks (`training.members`) are trained alike, each from weights of its own.

Lakshminarayanan, Pritzel & Blundell (2017), without their adversarial examples; Beluch et al. (2018).
"""

MEMBERS = "members"

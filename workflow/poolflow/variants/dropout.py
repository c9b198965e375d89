"""Dropout: the network drops units at random in training, and in the passes for `mc_probs`.

Gal & Ghahramani (2016), with p = 0.5 unless the learner sets another `dropout`.
"""

NETWORK = {"dropout": 0.5}

"""Dropout: the network drops units at random in training, and in the passes that `mc_probs` asks for.

Gal & Ghahramani (2016), with p = 0.5 unless the learner sets another `dropout`.
"""

NETWORK = {"dropout": 0.5}

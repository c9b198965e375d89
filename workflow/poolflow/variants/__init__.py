"""Variants of a network, which some outputs need, one file each.

An output names one in its literal VARIANT; then the strategy's chain has networks of that kind, in cycle 0 shared by
all strategies that need it, at `<initial pool>+<variant>`. A file may have

- a literal NETWORK: parameters that the network gets where the learner does not set them, {name: value};
- a literal MEMBERS: the key of `training` that says how many networks are trained alike;
- `attach(network, taps, shape)`: change an untrained network for inputs of that shape; `taps` are the network's TAPS;
- `loss(network, losses_of, precision, step, total)`: the loss of a mini-batch, a scalar, instead of the mean of the
  learner's: `losses_of(forward)` are those, (n,), with `forward` mapping inputs to logits. With the literal
  PAIRS = True no mini-batch has a single image.
"""

"""Learners, ways of learning from a cycle's images, one file each.

A file has a class `Learner(examples, training, **parameters)`; `examples` is a `poolflow.training.examples.Examples`,
`training` the settings of that name. Most are derived from that of `poolflow.learners.supervised` and override what
differs. The loop of `poolflow.training.loop` uses of it

- `images` (n, ...), the images of an epoch on the device, and `normalise`, which makes inputs of a network of them;
- `prepare(network)`: called once before the loop; here a learner may train the network on its own, run it over the
  pool, or load weights to start from;
- `batches(steps)`: the rows of `images` in each of an epoch's mini-batches, [(m,) int64 tensor, ...];
- `losses(forward, rows)`: the loss of each of these rows, (m,), by `forward`, which maps inputs to logits (m, classes)
  and is called once.

`metrics()` are further entries of metrics.json, {name: value}. With a literal PSEUDO_LABELS = True the learner's
`pseudo_labels()` are pool rows (k,), the classes it took them for (k,) and their weights (k,), kept in
`pseudo_labels.h5` beside the model. With a literal LAST = True it gets the last cycle's network, `examples.last`. A
literal INPUTS says what it takes, "images" or "features", both if it is missing. A literal NOT_WITH names variants that
it does not go with, ("loss_prediction",).
"""

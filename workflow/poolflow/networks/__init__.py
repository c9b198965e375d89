"""Networks, one file each.

A file has a class `Network(shape, classes, **parameters)`, initialised by torch's seed. A literal INPUTS says what
it takes: "images", then `shape` is (height, width, channels) and they come normalised, as float32 (n, channels,
height, width); "features", then `shape` is (D,) and the rows of the table come standardised, as float32 (n, D);
("images",) if it is missing. A literal MIN_SIDE is the least height and width of images in pixels. A literal BOUNDS
says what the parameters accept, see `poolflow.study.bounds`.

`features(inputs)` gives the penultimate layer (n, D), without the dropout that follows it; `head` maps it to logits
(n, classes) and begins with that dropout, if there is one; `forward` does both. Every network has the parameter
`dropout`, by default that of its published form: the probability that a unit is dropped, 0 drops none anywhere.

Where all dropout is in `head`, stochastic passes repeat the head alone. A network that drops before may have a pair of
methods, so that they need not repeat all of it: `before_dropout(inputs)` is what comes before its first dropout and
does not depend on any, and `after_dropout(hidden)` makes the features of that, changing nothing in `hidden`;
`features(x)` is `after_dropout(before_dropout(x))`. Without the pair it is run whole in each pass.

A literal TAPS names submodules inside `features`, such as its poolings or blocks, by their dotted names: the module of
the variant `loss_prediction` reads their outputs, averaged over all positions, and the penultimate layer; the
penultimate layer alone if TAPS is missing.
"""

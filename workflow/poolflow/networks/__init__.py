"""Networks, one file each.

A file has a class `Network(shape, classes, **parameters)`, initialised by torch's seed. A literal INPUTS says what
it takes: "images", then `shape` is (height, width, channels) and they come normalised, as float32 (n, channels,
height, width); "features", then `shape` is (D,) and the rows of the table come standardised, as float32 (n, D);
("images",) if it is missing. A literal MIN_SIDE is the least height and width of images in pixels. A literal BOUNDS
says what the parameters accept, see `poolflow.study.bounds`.

`features(inputs)` gives the penultimate layer (n, D), without the dropout that follows it; `head` maps it to logits
(n, classes) and begins with that dropout; `forward` does both. So where no other layer drops, stochastic passes need
repeat the head alone. Every network has the parameter `dropout`, by default that of its published form: the
probability that a unit is dropped, 0 drops none anywhere.

A literal TAPS names submodules inside `features`, such as its poolings or blocks, by their dotted names: the module of
the variant `loss_prediction` reads their outputs, averaged over all positions, and the penultimate layer; the
penultimate layer alone if TAPS is missing. A literal BOUNDS says what the parameters accept, see
`poolflow.study.bounds`.
"""

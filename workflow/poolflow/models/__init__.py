"""Networks, one file each.

A file has a class `Network(shape, classes, **parameters)` for images of `shape` (height, width, channels), whose
`features(images)` gives the penultimate layer (n, D), whose `head` maps it to logits (n, classes), and whose
`forward` does both. Images come normalised, as float32 (n, channels, height, width). A literal MIN_SIDE is the
least height and width in pixels.
"""

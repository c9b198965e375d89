"""Data sets, one file each.

A file has `load(root, **parameters)`, which returns {"train": (images, labels), "test": (images, labels),
"classes": names} with images uint8 (N, height, width, channels) and labels (N,). `root` is the configured
`data_root`. The literal constants SIZE (training images), CLASSES and SHAPE (height, width, channels), where they
are known beforehand, let a wrong config be refused before anything runs.
"""

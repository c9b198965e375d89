"""Data sets, one file each.

A file has `load(root, **parameters)`, which returns

    {"train": (images, labels), "test": (images, labels), "classes": names}

with images uint8 (N, height, width, channels), one channel or three, and labels integers (N,): a row of `classes`, or
-1 for a training image without a label. The test part may be empty.
`"names": {"train": [...], "test": [...]}` may be added, the path of each image as its user knows it, and `"notes"`, a
list of what a person must know of how the data were read. `root` is the
configured `data_root`; `load` reads only and never uses the network.
Instead of an array, images may be anything with shape, dtype and slices, read block by block: an HDF5 data set, say.
A parameter has a default and a simple annotation (int, float, str, bool, list, `int | None`), which a config is checked
against; one without a default must be in the config.

Further, where it applies:

- `files(**parameters)` returns the `poolflow.data.published.File`s to fetch into `root` before; what they unpack to is
  `load`'s own business.
- `KIND = "features"`: a table of ready features, float (N, D), in place of the images.
- `LOCAL = ("path",)`: the parameters that are paths of the user's own data, relative to `root` unless absolute.
- `BOUNDS`: what the parameters accept beyond their types, see `poolflow.study.bounds`.
- `ENDINGS = (".png", ...)`: of a folder of the user's own, the endings of the files that `load` reads; all without it.
- `NAMES = True`: `load` returns names, so `to_label.csv` can say which files to label.
- SIZE (training images), CLASSES and SHAPE (height, width, channels), where they are known beforehand, let a wrong
  config be refused before anything runs.

The constants are literal: the workflow reads them without importing the file.
"""

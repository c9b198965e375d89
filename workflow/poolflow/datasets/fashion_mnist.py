"""Fashion-MNIST: 60,000 training and 10,000 test images of clothes of ten kinds, 28 x 28, grey.

Xiao, Rasul & Vollgraf (2017), arXiv:1708.07747. Read through torchvision from the four archives, or the unpacked
files (whose sizes are checked, there being no checksums for them), in <data_root>/FashionMNIST/raw.
"""

from torchvision.datasets import FashionMNIST

from poolflow.datasets._torchvision import idx_files, load_idx

SIZE = 60_000
CLASSES = 10
SHAPE = (28, 28, 1)


def files():
    """Return the four archives."""
    return idx_files(FashionMNIST)


def load(root):
    """Return the original images."""
    return load_idx(FashionMNIST, root)

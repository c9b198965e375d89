"""CIFAR-10: 50,000 training and 10,000 test photographs of ten kinds of things, 32 x 32, colour.

Krizhevsky (2009), "Learning multiple layers of features from tiny images". Read through torchvision from
cifar-10-python.tar.gz, or the unpacked cifar-10-batches-py, in <data_root>.
"""

from torchvision.datasets import CIFAR10

from poolflow.datasets._torchvision import cifar_files, load_cifar

SIZE = 50_000
CLASSES = 10
SHAPE = (32, 32, 3)


def files():
    """Return the archive."""
    return cifar_files(CIFAR10)


def load(root):
    """Return the original images."""
    return load_cifar(CIFAR10, root)

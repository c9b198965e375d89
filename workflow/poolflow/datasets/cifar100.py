"""CIFAR-100: 50,000 training and 10,000 test photographs, 32 x 32, colour; 100 classes or their 20 superclasses.

Krizhevsky (2009), "Learning multiple layers of features from tiny images". Read through torchvision from
cifar-100-python.tar.gz, or the unpacked cifar-100-python, in <data_root>.
"""

from torchvision.datasets import CIFAR100

from poolflow.datasets._torchvision import cifar_files, load_cifar

SIZE = 50_000
SHAPE = (32, 32, 3)
BOUNDS = {"labels": "fine or coarse"}


def files(labels="fine"):
    """Return the archive."""
    return cifar_files(CIFAR100)


def load(root, labels: str = "fine"):
    """Return the original images with the `labels` "fine" (100 classes) or "coarse" (20 superclasses)."""
    return load_cifar(CIFAR100, root, f"{labels}_labels", f"{labels}_label_names")

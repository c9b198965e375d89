"""SVHN: 73,257 training and 26,032 test images of house numbers, 32 x 32, colour; the class is the middle digit.

Netzer, Wang, Coates, Bissacco, Wu & Ng (2011), format 2, without the extra images. Read through torchvision from
train_32x32.mat and test_32x32.mat in <data_root>.
"""

from torchvision.datasets import SVHN

from poolflow.datasets._torchvision import load_svhn, svhn_files

SIZE = 73_257
CLASSES = 10
SHAPE = (32, 32, 3)


def files():
    """Return the two MATLAB files."""
    return svhn_files(SVHN)


def load(root):
    """Return the original images; the label 10 of the files is the digit 0."""
    return load_svhn(SVHN, root) | {"classes": [str(digit) for digit in range(10)]}

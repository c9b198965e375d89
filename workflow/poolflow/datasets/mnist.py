"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28, grey.

LeCun, Bottou, Bengio & Haffner (1998). Read through torchvision from the four archives, or the unpacked files, in
<data_root>/MNIST/raw.
"""

from torchvision.datasets import MNIST

from poolflow.datasets._torchvision import idx_files, load_idx

SIZE = 60_000
CLASSES = 10
SHAPE = (28, 28, 1)
UNPACKED = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def files():
    """Return the four archives."""
    return idx_files(MNIST)


def load(root):
    """Return the original images."""
    return load_idx(MNIST, root, UNPACKED) | {"classes": [str(digit) for digit in range(10)]}

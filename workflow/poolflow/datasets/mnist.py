"""MNIST: 60,000 training and 10,000 test images of handwritten digits, 28 x 28, grey.

LeCun, Bottou, Bengio & Haffner (1998). Read through torchvision: an existing copy in <data_root>/MNIST/raw is
used without the network, else it is downloaded there.
"""

from torchvision.datasets import MNIST

from poolflow.stage import StageError

SIZE = 60_000
CLASSES = 10
SHAPE = (28, 28, 1)


def load(root):
    """Return the original images; StageError where they are neither at hand nor to be downloaded."""
    parts = {}
    for part in ("train", "test"):
        try:
            data = MNIST(root, train=part == "train", download=True)
        except (OSError, RuntimeError) as error:
            raise StageError(
                f"MNIST is not in {root}/MNIST/raw and cannot be downloaded ({error}); put the four *-ubyte files"
                " there, or set data_root to the folder that holds MNIST/raw"
            ) from error
        parts[part] = (data.data.numpy()[..., None], data.targets.numpy())
    return parts | {"classes": [str(digit) for digit in range(10)]}

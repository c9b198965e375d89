"""Handwritten digits of scikit-learn: 1,797 grey images of 8 x 8, embedded in the package (no download).

Alpaydin & Kaynak (1998), UCI "Optical Recognition of Handwritten Digits", the test part. The test set here is a
fixed stratified fifth: 360 images.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SIZE = 1437
CLASSES = 10
SHAPE = (8, 8, 1)


def load(root):
    """Return the images with their 17 grey levels spread over 0..255."""
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)[..., None]
    rows = np.arange(len(images))
    train, test = train_test_split(rows, test_size=360, stratify=digits.target, random_state=0)
    train, test = np.sort(train), np.sort(test)
    return {
        "train": (images[train], digits.target[train]),
        "test": (images[test], digits.target[test]),
        "classes": [str(digit) for digit in range(10)],
    }

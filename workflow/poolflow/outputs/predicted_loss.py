"""Predicted loss: what the loss-prediction module says of each image, (N,); only the order has a meaning."""

from poolflow.variants.loss_prediction import tap

VARIANT = "loss_prediction"


def output(members, images, precision):
    """Return (n,)."""
    _, tapped = tap(members[0], images, precision)
    return members[0].loss_prediction(tapped)

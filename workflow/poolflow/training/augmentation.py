"""Random changes of whole batches of images, each image with its own draw from torch's generator."""

import torch
import torch.nn.functional as F


def augment(images, config):
    """Return uint8 images (n, H, W, C), each with its own draw of what the training settings ask for.

    `crop` pads that many pixels on each side, black or reflected, and cuts a random window of the original size;
    `flip` mirrors every second image on average left to right; `randaugment` applies that many operations of
    torchvision's RandAugment.
    """
    n = len(images)
    if config["crop"]:
        pad, (height, width) = config["crop"], images.shape[1:3]
        if config["padding"] == "reflect":
            rows, columns = (reflected(side, pad).to(images.device) for side in (height, width))
            padded = images[:, rows][:, :, columns]
        else:
            padded = F.pad(images, (0, 0, pad, pad, pad, pad))
        windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # (n, shift, shift, C, H, W), a view
        down, right = torch.randint(0, 2 * pad + 1, (2, n)).to(images.device)
        images = windows[torch.arange(n, device=images.device), down, right].permute(0, 2, 3, 1)
    if config["flip"]:
        chosen = torch.rand(n).to(images.device) < 0.5
        images = torch.where(chosen[:, None, None, None], images.flip(2), images)
    if config["randaugment"]:
        from torchvision.transforms import RandAugment  # half a second to import

        transform = RandAugment(config["randaugment"], config["randaugment_magnitude"])
        images = torch.stack([transform(image) for image in images.permute(0, 3, 1, 2)]).permute(0, 2, 3, 1)
    return images


def reflected(side, pad):
    """Return the source of each pixel along a side that is padded by reflection, (side + 2 pad,) int64."""
    period = max(1, 2 * (side - 1))
    distance = torch.arange(-pad, side + pad) % period
    return torch.minimum(distance, period - distance)


def cutout(inputs, side):
    """Zero a square of `side` pixels at a random centre in each normalised image (DeVries & Taylor 2017), in place.

    `side` is one number or, as a tensor (n, 1), each image's own; 0 leaves the images as they are.
    """
    side = torch.as_tensor(side)
    if side.any():
        n, _, height, width = inputs.shape
        places = [torch.arange(length) - torch.randint(0, length, (n, 1)) + side // 2 for length in (height, width)]
        rows, columns = (((place >= 0) & (place < side)).to(inputs.device) for place in places)
        inputs.masked_fill_(rows[:, None, :, None] & columns[:, None, None, :], 0)
    return inputs

"""Outputs of a trained network for every image of the pool, which strategies need, one file each.

A file has `output(members, images, precision, **settings)`: of the networks `members`, in eval mode, and normalised
images on their device, a tensor (n, ...) of numbers that float32 holds, a row for each image. Most look at the first
member alone or at the mean over all. Settings are keys of `training` of the same names. torch's generator is seeded
alike before each block of images, so that what is drawn of a network is the same for the whole pool. A literal VARIANT
names the variant of the network (see `poolflow.variants`) that it takes; any without.
"""

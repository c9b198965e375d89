"""Pretext tasks, one file each: what can be learned of the images without a label.

A literal GIVES names the functions of the file that make an output for every image of the pool: `features(task, model,
**parameters)` (N, D), `scores(...)` (N,), the task's loss, and `clusters(...)`, the cluster of each image (N,) and
their number. A task that learns has `build(task, **parameters)`, which returns a torch module, and `train(task, model,
**parameters)`, which trains it in place. All keyword arguments together are the parameters that the config may set; an
output is made again only when one of its own or of `build` changes, and what comes before it. `task` is a
`poolflow.task.Task`.

A task whose network has learned elsewhere has, in place of `build` and `train`, `files(**parameters)`, as a data set
has it, `weights(root, **parameters)`, which returns its weights {name: tensor} and a line that says what they are, and
`embed(weights, device, **parameters)`, which returns a function from images (n, height, width, channels) uint8 to
features (n, D) and how many images to give it at once. All images of the data set are embedded once, those for the test
too, and `task.images` are then these features. A literal LOCAL names the parameters that are paths of the user's own,
relative to `root` unless absolute, or else "download", for what `files` names.

Literals: NETWORK = True for a task that trains the network of the study (`task.network()`, at `model.network`); INPUTS
says what it takes, "images" or "features", ("images",) if it is missing; OF names the task that it builds on unless the
config names another, and BASE what it uses of that: "features" and "model"; BOUNDS says what the parameters accept,
see `poolflow.study.bounds`.
"""

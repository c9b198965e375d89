"""Pretext tasks, one file each: what can be learned of the images without a label.

A literal GIVES names the functions of the file that make an output for every image of the pool: `features(task, model,
**parameters)` (N, D), `scores(...)` (N,), the task's loss, and `clusters(...)`, the cluster of each image (N,) and
their number. A task that learns has `build(task, **parameters)`, which returns a torch module, and `train(task, model,
**parameters)`, which trains it in place. All keyword arguments together are the parameters that the config may set; an
output is made again only when one of its own or of `build` changes, and what comes before it. `task` is a
`poolflow.task.Task`.

Literals: NETWORK = True for a task that trains the network of the study (`task.network()`, at `model.network`); INPUTS
says what it takes, "images" or "features", ("images",) if it is missing; OF names the task that it builds on unless the
config names another, and BASE what it uses of that: "features" and "model"; BOUNDS says what the parameters accept,
see `poolflow.study.bounds`.
"""

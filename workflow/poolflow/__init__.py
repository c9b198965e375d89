"""poolflow: the stages, plugins and kernels of a pool-based deep active-learning workflow."""

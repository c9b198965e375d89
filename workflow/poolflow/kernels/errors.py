"""What the kernels and their callers both know of a failure."""


class InputError(ValueError):
    """An argument that a kernel cannot work with, in one line that names it, the place and the value."""

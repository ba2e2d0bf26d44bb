"""What preparation refuses."""


class PrepareError(ValueError):
    """A scan that can't be prepared; the text says at which step, what was found and what was expected."""

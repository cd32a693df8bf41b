"""Whether this process looks for its parent's end by itself; apart, because a child imports it before anything else."""

import threading

_watched = threading.Event()


def is_watched() -> bool:
    """Whether a module has said that it takes care of its parent's end."""
    return _watched.is_set()


def take_over() -> None:
    """In a child: from now on it ends by itself when its standard input does."""
    _watched.set()

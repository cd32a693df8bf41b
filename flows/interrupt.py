"""Ctrl-C that is not lost.

Python raises it wherever the process happens to be: in a callback of a library that takes no notice of exceptions, it
goes unheard, and a run of hours goes on. It is remembered here, and raised again before the next stage.
"""

import signal

_asked = False


def heed() -> None:
    """From now on the process remembers that it was interrupted. To be called from its main thread.

    Where whoever started it has Ctrl-C ignored, as a shell has of what it runs in the background, it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _ask)


def check() -> None:
    """Raises KeyboardInterrupt if the process was interrupted, whatever became of it."""
    if _asked:
        raise KeyboardInterrupt


def _ask(_number: int, _frame: object) -> None:
    global _asked  # there is one process, and one person who ends it
    _asked = True
    raise KeyboardInterrupt

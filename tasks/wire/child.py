"""`python -m tasks.wire.child MODULE …`: runs a module of ours that ends with its parent from its first moment on.

What a module imports may take seconds, and until it watches its standard input itself nobody would. This looks for the
other end of the pipe being closed and reads nothing, so that a module that is asked on its standard input misses
nothing.
"""

import os
import runpy
import select
import sys
import threading

from tasks.wire.watch import is_watched


def main() -> None:
    """Begins to watch, and runs the module under its own name and arguments."""
    threading.Thread(target=_wait, name="parent", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _wait() -> None:
    """Ends this process when the parent's end of standard input is gone, unless the module takes care of that."""
    watched = select.poll()
    watched.register(0, 0)  # a hang-up is told always
    watched.poll()
    if not is_watched():
        os._exit(0)


if __name__ == "__main__":
    main()

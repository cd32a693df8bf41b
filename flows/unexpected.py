"""What a person is told of an error that nobody foresaw: a sentence and what to do, and never a traceback.

Most are the machine's: memory, file descriptors or processes that ran out, a disk that refuses where none was expected
to. Prefect's API may be gone or answer with nonsense. Whatever is left is a fault of Plimsoll's own; its traceback goes
to a private file, to be sent to whoever mends it.
"""

import errno
import os
import tempfile
import traceback
from types import TracebackType

from catalog.errors import PlimsollError, WorldError

_GOES_ON = "What was recorded stands, and the same command goes on from there."
_REMEDIES = {
    errno.EMFILE: "Allow more open files: ulimit -n.",
    errno.ENFILE: "The machine has too many files open: end what is not needed.",
    errno.EAGAIN: "Allow more processes: ulimit -u, or end what is not needed.",
    errno.ENOMEM: "Give it more memory, or end what is not needed.",
    errno.ENOSPC: "Check free space.",
    errno.EDQUOT: "Check the quota.",
    errno.EROFS: "Make it writable.",
    errno.EIO: "Check the disk.",
}
_OWN = ("catalog.", "expectations.", "tasks.", "flows.")
_MEMORY = ("MemoryError", "OutOfMemoryException", "ArrayMemoryError", "_ArrayMemoryError")
"""Names of the errors by which Python, DuckDB and NumPy say that there is no memory left."""


class InternalError(PlimsollError):
    """Plimsoll itself is at fault."""


def told(error: Exception) -> PlimsollError:
    """What a person is told of `error`: one of our own as it is, unless memory ran out below it.

    What could not be read for want of memory is no fault of what was read.
    """
    causes = _causes(error)
    if isinstance(error, PlimsollError):
        return next((found for each in causes if _is_of_memory(each) and (found := _of_machine(each))), error)
    for each in causes:
        if found := _of_machine(each):
            return found
    if reason := _of_prefect(error):
        remedy = f"Check the Prefect server and PREFECT_API_URL. {_GOES_ON}"
        return WorldError(f"Prefect's API failed: {reason}", remedy=remedy)
    return InternalError(
        f"a fault of Plimsoll itself: {_said(error)}", remedy=f"{_GOES_ON} {_kept(error)} Report it with that file."
    )


def _causes(error: BaseException) -> list[BaseException]:
    """The error, and what it was raised from, each once."""
    found: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and at not in found:
        found.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return found


def _is_of_memory(error: BaseException) -> bool:
    return type(error).__name__ in _MEMORY


def _of_machine(error: BaseException) -> PlimsollError | None:
    if _is_of_memory(error):
        return WorldError("there is not enough memory", remedy=f"{_REMEDIES[errno.ENOMEM]} {_GOES_ON}")
    if isinstance(error, OSError) and error.errno in _REMEDIES:
        where = f" {error.filename}" if error.filename else ""
        return WorldError(
            f"the machine refused: {os.strerror(error.errno)}{where}", remedy=f"{_REMEDIES[error.errno]} {_GOES_ON}"
        )
    return None


def _of_prefect(error: BaseException) -> str:
    """In words, what went wrong between Prefect and its API; empty where it is none of that."""
    if any("prefect.client" in name for name in _beyond(error.__traceback__)):
        return _said(error)
    return ""


def _beyond(trace: TracebackType | None) -> list[str]:
    """The modules that the error passed after the last one of ours, innermost last."""
    names: list[str] = []
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        names = [] if f"{name}.".startswith(_OWN) else [*names, name]
        trace = trace.tb_next
    return names


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0].removesuffix(": ")


def _kept(error: BaseException) -> str:
    """Writes the traceback to a file that nobody else can read; a sentence that says where."""
    try:
        handle, name = tempfile.mkstemp(prefix="plimsoll-fault-", suffix=".txt")
        with os.fdopen(handle, "w") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError as refused:
        return f"Its details could not be written: {refused.strerror}."
    return f"Its details are in {name}."

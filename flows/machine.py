"""The machine, which a run holds: what measures load must have it to itself, and an emulated environment is on it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from catalog.locking import held
from catalog.store import disk, make_directory
from tasks.remembered import cache_path


@contextmanager
def machine(wait: Callable[[str], object] | None = None) -> Iterator[None]:
    """Holds this machine, whichever workspace, programme and environment; see `catalog.locking.held`."""
    path = cache_path() / "machine.lock"
    with disk(path):
        make_directory(path.parent)
    with held(path, "this machine, and measures load on it", wait=wait):
        yield


def refuse_taken() -> None:
    """Raises WorldError while another run holds this machine."""
    with machine():
        pass

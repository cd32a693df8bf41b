"""Workspaces that are named by URL: what a command does with one, it does in a folder of this machine."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def place(text: str) -> Path | str:
    """Where a workspace is: a path, or a URL as it stands."""
    return text if "://" in text else Path(text)


@contextmanager
def at_hand(options: Namespace) -> Iterator[None]:
    """While a command runs: the places that `options` names by URL are folders that hold what is there.

    What an auditor gives as PATH is copied anew, every byte, and is gone thereafter. `--home` has a working copy under
    `$PLIMSOLL_CACHE` (else `plimsoll` in the user's cache directory), which gets what it has not. `options.remote` is
    the URL then.
    """
    named = getattr(options, "path", None) or getattr(options, "home", None)
    if not isinstance(named, str):
        yield
        return
    options.remote = named
    if not hasattr(options, "path"):
        options.home = at_home(named)
        yield
        return
    from catalog.bucket import Bucket, download
    from flows.progress import Progress
    from tasks.scratch import scratch

    with scratch() as folder:
        options.path = Path(folder)
        with Progress().reading(f"copying {named}") as progress:
            download(Bucket(named), options.path, progress)
        yield


def at_home(home: str) -> Path:
    """The folder of a workspace that is named by its path, or by its URL: a working copy then, brought up to date."""
    named = place(home)
    if isinstance(named, Path):
        return named
    from catalog.bucket import Bucket, pull, working_copy
    from flows.progress import Progress
    from tasks.remembered import cache_path

    bucket = Bucket(named)
    folder = working_copy(bucket, cache_path())
    with Progress().reading(f"copying {named}") as progress:
        pull(bucket, folder, progress)
    return folder

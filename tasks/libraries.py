"""The versions of whatever could change the bytes, or the last digit, of what is computed: they stand in records."""

import platform
from functools import cache
from importlib import metadata

NAMES = (
    "cramjam",
    "duckdb",
    "fastparquet",
    "great-expectations",
    "jinja2",
    "numpy",
    "pandas",
    "scipy",
)
"""What packs, queries, writes, judges, renders and computes, by the names that they are installed under."""


@cache
def libraries() -> dict[str, str]:
    """Python and the libraries, each with its version here; those that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in NAMES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def other_versions(recorded: object) -> list[str]:
    """What differs between recorded versions and those here, as `name then → now`; all of them where none are known."""
    then = recorded if isinstance(recorded, dict) else {}
    now = libraries()
    return [
        f"{name} {then.get(name, 'not recorded')} → {now.get(name, 'not installed')}"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]

"""The programmes that `init` starts a new catalogue from: a template explained by its comments, and examples."""

import shutil
from pathlib import Path

from catalog import schemas
from catalog.errors import UsageError, WorldError
from catalog.hints import suggestion

_FOLDER = Path(__file__).parent / "template"
_EXAMPLES = Path(__file__).parent / "examples"
_COMPILED = shutil.ignore_patterns("__pycache__")


def examples() -> list[str]:
    """The names of the examples that may be started from in place of the template."""
    return sorted(folder.name for folder in _EXAMPLES.iterdir() if folder.is_dir())


def write_template(folder: Path, example: str = "") -> tuple[Path, ...]:
    """Writes the programme, and the schemas that its files name, into `folder`; gives the files written, in order.

    `example`: in place of the template. Raises UsageError where there is no such example, or something is in the way:
    nothing is ever overwritten. Raises WorldError when the disk is.
    """
    if example and example not in examples():
        raise UsageError(f"there is no example '{example}'", remedy=suggestion(example, examples()))
    source = _EXAMPLES / example if example else _FOLDER
    try:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder", remedy="give the name of a new one")
        # copyfile: what is installed may be read-only, and what is written here is to be edited
        shutil.copytree(source, folder, ignore=_COMPILED, copy_function=shutil.copyfile, dirs_exist_ok=True)
        shutil.copytree(schemas.FOLDER, folder / "schemas", copy_function=shutil.copyfile)
    except OSError as error:
        raise WorldError(f"{folder} cannot be written: {error}", remedy="check the disk and its permissions") from error
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))

"""The programme that `init` starts a new catalogue from: small, complete, and explained by its comments."""

import shutil
from pathlib import Path

from catalog import schemas
from catalog.errors import UsageError, WorldError

_FOLDER = Path(__file__).parent / "template"


def write_template(folder: Path) -> tuple[Path, ...]:
    """Writes the programme, and the schemas that its files name, into `folder`; gives the files written, in order.

    Raises UsageError where something is in the way: nothing is ever overwritten. Raises WorldError when the disk is.
    """
    try:
        if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder", remedy="give the name of a new one")
        # copyfile: what is installed may be read-only, and what is written here is to be edited
        shutil.copytree(_FOLDER, folder, copy_function=shutil.copyfile, dirs_exist_ok=True)
        shutil.copytree(schemas.FOLDER, folder / "schemas", copy_function=shutil.copyfile)
    except OSError as error:
        raise WorldError(f"{folder} cannot be written: {error}", remedy="check the disk and its permissions") from error
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))

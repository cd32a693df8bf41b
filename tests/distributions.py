"""Distributions that are installed in a folder of a test: modules and a `.dist-info`, as an installer leaves them."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

GUIDE = Path(__file__).parents[1] / "docs" / "extending.md"
_FILE = re.compile(r"```(?:toml|python)\n# acme-plimsoll/(\S+)\n(.*?)```", re.DOTALL)


def install(
    folder: Path,
    name: str,
    files: Mapping[str, str],
    entries: Mapping[str, Mapping[str, str]],
    *,
    version: str = "1.0",
) -> Path:
    """Installs a distribution into `folder`, which is to stand on the path; `entries`: by group, name to target."""
    for file, text in files.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    groups = (
        f"[{group}]\n" + "".join(f"{entry} = {target}\n" for entry, target in named.items())
        for group, named in entries.items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))
    return folder


def install_guide(folder: Path) -> Path:
    """Installs what docs/extending.md shows, word for word: a distribution that adds one of everything."""
    shown = dict(_FILE.findall(GUIDE.read_text(encoding="utf-8")))
    project = tomllib.loads(shown.pop("pyproject.toml"))["project"]
    files = {"acme_plimsoll/__init__.py": "", **shown}
    return install(folder, project["name"], files, project["entry-points"], version=project["version"])

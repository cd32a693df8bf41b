"""Programs to compare with, each in an environment of its own, since their dependencies do not go with ours.

`python -m benchmarks --peers FOLDER` makes the environments that are missing (this, and nothing else here, uses the
network) and `Peers(FOLDER).program(...)` finds what is in them; a program on PATH is taken where there is none.
"""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.racing import NoPeerError

PINNED = {"dvc": "dvc==3.67.1", "snakemake": "snakemake==9.27.1", "bzt": "bzt==1.17.2"}
"""What is installed where, exactly: figures of another version are other figures."""


@dataclass(frozen=True, slots=True)
class Peers:
    """The folder of the environments, None where there is none."""

    folder: Path | None = None

    def install(self) -> None:
        """Makes every environment that is missing; raises SystemExit where there is no folder, or uv fails."""
        if self.folder is None:
            raise SystemExit("--install needs --peers FOLDER, where the environments go")
        uv = str(Path(sys.executable).with_name("uv"))
        for name, pinned in PINNED.items():
            if not (self.folder / name / "bin" / name).is_file():
                place = self.folder / name
                for command in (
                    [uv, "venv", "-q", "--clear", "--python", sys.executable, str(place)],
                    [uv, "pip", "install", "-q", "--python", str(place / "bin" / "python"), pinned],
                ):
                    if subprocess.run(command, check=False).returncode:
                        raise SystemExit(f"{pinned} could not be installed into {place}")

    def program(self, name: str) -> str:
        """The path of a program; raises NoPeerError where it is not there."""
        own = self.folder / name / "bin" / name if self.folder else None
        if own and own.is_file():
            return str(own)
        if found := shutil.which(name):
            return found
        how = "python -m benchmarks --peers FOLDER --install" if name in PINNED else "the system's package manager"
        raise NoPeerError(f"{name} is not installed ({how})")

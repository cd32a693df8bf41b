"""A catalogue folder read into the programme that it declares, or every fault of every file at once."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from catalog.agreement import Declarations, disagreements
from catalog.csv_files import parse_csv, reworded
from catalog.declarations import (
    FILES,
    METERS,
    OPTIONAL_FILES,
    Declared,
    Forecast,
    MigrationPlan,
    ObservedVolume,
    Programme,
    ServiceReferenceVariant,
)
from catalog.errors import DeclarationError, Fault
from catalog.hints import did_you_mean
from catalog.places import MOST_FAULTS, Address, Document
from catalog.shapes import check_shape
from catalog.text_files import TextFile, read_text, shown_path
from catalog.variants import filled_in
from catalog.yaml_files import parse_yaml

Shape = TypeVar("Shape")

_ROWS: dict[str, type[Declared]] = {
    "forecasts": Forecast,
    "srv_register": ServiceReferenceVariant,
    "migration_plans": MigrationPlan,
    "observed_volumes": ObservedVolume,
}
"""The CSV files that volumes.yaml names, by the key that names them, and what a row of each must hold."""

_OUTSIDE = ("expected a file in the catalogue's folder", "move it there, and give its name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A catalogue that is in order. `digests`: SHA-256 of each file's bytes by its name in the folder.

    `documents`: each file as it was read, with places; the CSV files under the keys that volumes.yaml names them by.
    """

    programme: Programme
    digests: dict[str, str]
    documents: dict[str, Document]


def read_programme(folder: Path) -> Programme:
    """The programme declared in `folder`. Raises DeclarationError with all faults, by file, line and column."""
    return read_catalogue(folder).programme


def read_catalogue(folder: Path) -> Catalogue:
    """The programme declared in `folder` and the digests of its files.

    Raises DeclarationError with all faults, by file, line and column: those of every file's text and shape; when there
    are none, everything in which the files disagree.
    """
    reader = _Reader(folder)
    parts: dict[str, Any] = {name.removesuffix(".yaml"): reader.declared(name, shape) for name, shape in FILES.items()}
    parts |= {key: reader.rows(key, row) for key, row in _ROWS.items()}
    reader.refuse_faults()
    declarations = Declarations(**parts)
    scripts = reader.scripts(declarations)
    reader.compare(declarations)
    reader.refuse_faults()
    programme = _programme(declarations).model_copy(update={"scripts": scripts})
    return Catalogue(programme=programme, digests=dict(sorted(reader.digests.items())), documents=reader.documents)


def _programme(declared: Declarations) -> Programme:
    full = filled_in(declared.environments.environments)
    return Programme(
        programme=declared.programme,
        system=declared.system,
        scope=declared.scope,
        assumptions=declared.assumptions.assumptions,
        volumes=declared.volumes,
        forecasts=declared.forecasts,
        migration_plans=declared.migration_plans or (),
        observed_volumes=declared.observed_volumes or (),
        srv_register=declared.srv_register,
        requirements=declared.requirements.requirements,
        expectations=declared.requirements.expectations,
        tests=declared.tests,
        environments=tuple(full[environment.id] for environment in declared.environments.environments),
        governance=declared.governance,
    )


class _Reader:
    """Reads the files of one folder, and gathers their faults, digests and places."""

    def __init__(self, folder: Path) -> None:
        self.digests: dict[str, str] = {}
        self._folder = folder
        self._faults: list[Fault] = []
        self.documents: dict[str, Document] = {}
        if not _holds(folder.is_dir):
            self._fault(folder, "missing-folder", "there is no such folder", "`plimsoll init` makes a new catalogue")
            self.refuse_faults()

    def declared(self, name: str, shape: type[Shape]) -> Shape | None:
        """The YAML file of that name as a model; None when it has faults."""
        path = self._folder / name
        if not _holds(path.exists):
            if name in OPTIONAL_FILES:
                return shape()
            self._fault(path, "missing-file", "expected this file, found none", self._similar(name))
            return None
        text = self._text(name)
        return self._shaped(name, parse_yaml(text.file, text.text), shape) if text else None

    def rows(self, key: str, row: Any) -> Any:
        """The rows of the CSV file that volumes.yaml names under `key`; None when it names none, or it has faults."""
        volumes = self.documents.get("volumes.yaml")
        name = volumes.data.get(key) if volumes and isinstance(volumes.data, dict) else None
        if volumes is None or not isinstance(name, str) or not name.strip():
            return None  # the fault is that of volumes.yaml
        name = name.strip()
        text = self._named("volumes.yaml", (key,), name)
        if text is None:
            return None
        words, before = self._words(volumes.data), len(self._faults)
        shaped = self._shaped(key, parse_csv(text.file, text.text, row, words), tuple[row, ...])
        self._faults[before:] = reworded(self._faults[before:], words)
        return shaped

    @staticmethod
    def _words(volumes: dict[str, Any]) -> dict[str, str]:
        """What the CSV files call what they count, to the names that records have for it."""
        word = volumes.get("counted")
        if not isinstance(word, str) or not word.strip() or word.strip() == METERS:
            return {}
        return {word.strip(): METERS, f"thousand {word.strip()}": f"thousand {METERS}"}

    def _named(self, file: str, address: Address, name: str) -> TextFile | None:
        """The file of the catalogue that a declaration names; None, and a fault, when there is none."""
        document = self.documents[file]
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            self._faults.append(document.fault(address, "file-outside", *_OUTSIDE))
        elif not _holds((self._folder / name).exists):
            message = f"there is no file '{name[:60]}' in the catalogue's folder"
            self._faults.append(document.fault(address, "missing-file", message, self._similar(name)))
        elif not (self._folder / name).resolve().is_relative_to(self._folder.resolve()):  # a link that leads out
            self._faults.append(document.fault(address, "file-outside", *_OUTSIDE))
        else:
            return self._text(name)
        return None

    def scripts(self, declarations: Declarations) -> dict[str, str]:
        """The text of every file that an environment names for Locust, by its name."""
        found: dict[str, str] = {}
        for position, environment in enumerate(declarations.environments.environments):
            if environment.locust is not None:
                address: Address = ("environments", position, "locust")
                listed = [(*address, "files", index) for index in range(len(environment.locust.files))]
                names = (environment.locust.script, *environment.locust.files)
                for place, name in zip([(*address, "script"), *listed], names, strict=True):
                    if name not in found and (text := self._named("environments.yaml", place, name)):
                        found[name] = text.text
        return found

    def compare(self, declarations: Declarations) -> None:
        """Everything in which the files disagree, as faults."""
        for found in islice(disagreements(declarations), MOST_FAULTS):
            document = self.documents[found.file]
            fault = document.fault(found.address, found.code, found.message, found.hint, at_key=found.at_key)
            self._faults.append(fault)

    def refuse_faults(self) -> None:
        """Raises DeclarationError when any fault was found."""
        if self._faults:
            raise DeclarationError(sorted(self._faults, key=lambda fault: (fault.file, fault.line, fault.column)))

    def _text(self, name: str) -> TextFile | None:
        text, faults = read_text(self._folder / name)
        self._faults += faults
        if text:
            self.digests[name] = text.digest
        return text

    def _shaped(self, name: str, parsed: tuple[Document | None, list[Fault]], shape: type[Shape]) -> Shape | None:
        """The parsed file as `shape`. Where its text is at fault already, its shape is not held against it."""
        document, faults = parsed
        self._faults += faults
        if document is None:
            return None
        self.documents[name] = document
        value, misshapen = check_shape(document, shape)
        known = {(fault.line, fault.column) for fault in faults}
        self._faults += [fault for fault in misshapen if (fault.line, fault.column) not in known]
        return value

    def _similar(self, name: str) -> str:
        spare = (path.name for path in self._folder.iterdir() if path.name != name and path.name not in FILES)
        close = did_you_mean(name, list(spare))
        return close if close.startswith("did") else "`plimsoll init DIR` makes a catalogue with every file"

    def _fault(self, path: Path, code: str, message: str, hint: str) -> None:
        self._faults.append(Fault(file=shown_path(path), line=1, column=1, code=code, message=message, hint=hint))


def _holds(question: Callable[[], bool]) -> bool:
    """Whether the disk says yes, or cannot tell (no permission, a name too long): reading then says why."""
    try:
        return question()
    except OSError:
        return True

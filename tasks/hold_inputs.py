"""Holds a catalogue against what is here: CSV files against their contracts, extensions against what is installed.

Loading the contracts takes a second: what only answers a question about a catalogue that was held before does without.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from catalog.agreement.extensions import extension_disagreements
from catalog.declarations import Forecast, MigrationPlan, ObservedVolume
from catalog.errors import DeclarationError, Fault
from catalog.reading import Catalogue, read_catalogue


def read_held(folder: Path) -> Catalogue:
    """The catalogue in `folder`. Raises DeclarationError with every fault that reading it or holding it finds."""
    catalogue = read_catalogue(folder)
    hold_inputs(catalogue)
    return catalogue


def hold_inputs(catalogue: Catalogue) -> None:
    """Raises DeclarationError with every row of a CSV file that breaks its contract, and every missing extension."""
    if faults := [*_missing(catalogue), *_faults(catalogue)]:
        raise DeclarationError(faults)


def _missing(catalogue: Catalogue) -> Iterator[Fault]:
    """Names that nothing answers to. One that stands in what an environment extends is told of there."""
    for found in extension_disagreements(catalogue.programme):
        document = catalogue.documents[found.file]
        if found.address in document.values:
            yield document.fault(found.address, found.code, found.message, found.hint)


def _faults(catalogue: Catalogue) -> Iterator[Fault]:
    from expectations.inputs import broken

    programme = catalogue.programme
    inputs: dict[str, Sequence[Forecast] | Sequence[MigrationPlan] | Sequence[ObservedVolume]] = {
        "forecasts": programme.forecasts,
        "migration_plans": programme.migration_plans,
        "observed_volumes": programme.observed_volumes,
    }
    for name, rows in inputs.items():
        for each in broken(rows):
            document = catalogue.documents[name]
            address = (each.row, each.column) if each.column else (each.row,)
            found = f"; found {each.found}" if each.found else ""
            message = f"row {each.row + 1} breaks its contract: {each.check}{found}"
            hint = "expectations/inputs.py states the contract"
            yield document.fault(address, "contract", message, hint)

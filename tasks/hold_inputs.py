"""Holds the CSV files of a catalogue against their contracts, and says where each row stands that breaks one.

Loading the contracts takes a second: what only answers a question about a catalogue that was held before does without.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from catalog.declarations import Forecast, MigrationPlan, ObservedVolume
from catalog.errors import DeclarationError, Fault
from catalog.reading import Catalogue, read_catalogue


def read_held(folder: Path) -> Catalogue:
    """The catalogue in `folder`. Raises DeclarationError with every fault that reading it or holding it finds."""
    catalogue = read_catalogue(folder)
    hold_inputs(catalogue)
    return catalogue


def hold_inputs(catalogue: Catalogue) -> None:
    """Raises DeclarationError with every row of a CSV file that breaks its contract, by file, line and column."""
    if faults := list(_faults(catalogue)):
        raise DeclarationError(faults)


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

"""The whole programme: every capability phase in its order, each to its completion report."""

from pathlib import Path
from typing import Any

from prefect import flow

from catalog.reading import read_catalogue
from flows.capability_phase import capability_phase
from flows.cli import CATALOG
from flows.deployed import HOOKS


@flow(name="programme", persist_result=False, **HOOKS)
def programme(
    catalog: str = str(CATALOG), home: str = "", environment: str = "", types: list[str] | None = None
) -> dict[str, Any]:
    """Runs every phase that is declared; returns what each phase's flow returns, by phase.

    A phase is run whatever the one before it proved: whether a phase is complete is decided by people, from its report.
    What is finished already is not repeated.
    """
    phases = [phase.id for phase in read_catalogue(Path(catalog)).programme.programme.phases]
    where: dict[str, Any] = {"catalog": catalog, "home": home, "environment": environment}
    return {phase: capability_phase(phase=phase, **where, types=types) for phase in phases}

"""What every stage of one run works with: the programme as read, the workspace, who records, and the warm judge."""

import atexit
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import rules
from catalog.declarations import Environment, Phase, Programme
from catalog.errors import UsageError
from catalog.ledger import Actor
from catalog.reading import Catalogue, read_catalogue
from catalog.signing import Signer, key_path
from catalog.workspace import Workspace
from tasks.stage import Recorder

if TYPE_CHECKING:
    from tasks.judge import Judge


class Desk:
    """One run's working place. A plain class, so that Prefect passes it to tasks without looking into it.

    `occasion`: what is executed and counted together; the phase, or a regression's date.
    """

    def __init__(
        self, catalogue: Catalogue, folder: Path, workspace: Workspace, phase: str, environment: str, occasion: str
    ) -> None:
        self.catalogue = catalogue
        self.folder = folder
        self.workspace = workspace
        self.phase = find_phase(catalogue.programme, phase)
        self.environment = find_environment(catalogue.programme, environment)
        self.occasion = occasion or self.phase.id

    @property
    def programme(self) -> Programme:
        """What the catalogue declares."""
        return self.catalogue.programme

    @cached_property
    def signer(self) -> Signer:
        """Whoever runs this: their key signs the ledger's head when a phase is reported."""
        return Signer.open(key_path(), outside=self.workspace.home)

    @cached_property
    def recorder(self) -> Recorder:
        """Records in this workspace and for this occasion, in the name of whoever runs this."""
        actor = Actor(name=actor_name(), fingerprint=self.signer.fingerprint)
        return Recorder(workspace=self.workspace, occasion=self.occasion, actor=actor, code=code_version())

    @property
    def judge(self) -> "Judge":
        """The process that holds measurements against requirements."""
        return warm_judge()

    def key(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The key document of the phase as a whole: when it and the evidence are unchanged, nothing is left to do."""
        inputs = {"phase": self.phase.id, "files": self.catalogue.digests, "asked": asked}
        return {"stage": "capability-phase", "rules": rules.versions(), "inputs": inputs}


@cache
def warm_judge() -> "Judge":
    """This process's judge, started when it is first asked for and ended with the process; it loads meanwhile."""
    from tasks.judge import start_judge

    judge = start_judge()
    atexit.register(judge.stop)
    return judge


@contextmanager
def open_desk(phase: str, *, catalog: Path, home: Path, environment: str = "", occasion: str = "") -> Iterator[Desk]:
    """A desk that holds the workspace for itself until it is closed.

    Raises DeclarationError with every fault of the catalogue, before anything is written.
    """
    catalogue = read_catalogue(catalog)
    find_phase(catalogue.programme, phase)
    find_environment(catalogue.programme, environment)
    workspace = Workspace.open(home, create=True)
    with workspace.lock():
        yield Desk(catalogue, catalog, workspace, phase, environment, occasion)


def find_phase(programme: Programme, phase: str) -> Phase:
    """The phase of that id. Raises UsageError, naming those that there are."""
    try:
        return programme.phase(phase)
    except KeyError:
        known = ", ".join(each.id for each in programme.programme.phases)
        raise UsageError(f"there is no phase {phase!r} in programme {programme.programme.programme}",
                         remedy=f"Its phases are: {known}.") from None  # fmt: skip


def find_environment(programme: Programme, environment: str) -> Environment:
    """The environment of that id, the programme's own where it is empty. Raises UsageError, naming those there are."""
    try:
        return programme.environment(environment or programme.programme.default_environment)
    except KeyError:
        known = ", ".join(each.id for each in programme.environments)
        raise UsageError(f"there is no environment {environment!r}", remedy=f"Declared are: {known}.") from None


def actor_name() -> str:
    """Whoever runs this, as records name them: `PLIMSOLL_ACTOR`, else the login name."""
    return os.environ.get("PLIMSOLL_ACTOR") or getpass.getuser()


def code_version() -> str:
    """The version of this code, as records name it."""
    return f"plimsoll {metadata.version('plimsoll')}"

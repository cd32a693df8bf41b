"""What every stage of one run works with: the programme as read, the workspace, who records, and the warm judge."""

import atexit
import getpass
import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog import rules
from catalog.agreement.extensions import extensions_in
from catalog.declarations import Environment, NamedRegression, Phase, Programme, Regression
from catalog.errors import UsageError
from catalog.hints import suggestion
from catalog.keyring import refuse_ended
from catalog.ledger import Actor
from catalog.reading import Catalogue, read_catalogue
from catalog.signing import Signer, own_signer
from catalog.workspace import Workspace, refuse_as_home
from tasks.stage import Recorder

if TYPE_CHECKING:
    from flows.cluster import Cluster
    from tasks.judge import Judge
    from tasks.perform import Material
    from tasks.plan import PlannedTest
    from tasks.volumes.model import VolumeModel


class Desk:
    """One run's working place. A plain class, so that Prefect passes it to tasks without looking into it.

    `occasion`: what is executed and counted together; the phase, or a regression's date. `models`: the volume models
    that are generated already, by phase. `cluster`: the workers that loads are offered by and runs are measured on,
    while a flow has joined one.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        folder: Path,
        workspace: Workspace,
        phase: str,
        environment: str,
        occasion: str,
        models: "dict[str, VolumeModel]",
    ) -> None:
        self.catalogue = catalogue
        self.folder = folder
        self.workspace = workspace
        self.phase = find_phase(catalogue.programme, phase)
        self.environment = find_environment(catalogue.programme, environment)
        self.occasion = occasion or self.phase.id
        self._models = models
        self.cluster: Cluster | None = None

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """With work that is handed to another host Prefect hands over what the task here was given: a desk stays."""
        return str, (f"the desk of {self.occasion}",)

    @property
    def programme(self) -> Programme:
        """What the catalogue declares."""
        return self.catalogue.programme

    @cached_property
    def signer(self) -> Signer:
        """Whoever runs this: their key signs the ledger's head when a phase is reported.

        Raises WorldError where the ledger says that the key was replaced or revoked.
        """
        signer = own_signer(outside=self.workspace.home)
        refuse_ended(signer, self.workspace.ledger.records())
        return signer

    @cached_property
    def recorder(self) -> Recorder:
        """Records in this workspace and for this occasion, in the name of whoever runs this."""
        actor = Actor(name=actor_name(), fingerprint=self.signer.fingerprint)
        return Recorder(workspace=self.workspace, occasion=self.occasion, actor=actor, code=code_version())

    @cached_property
    def material(self) -> "Material":
        """What pure stages are performed with."""
        from tasks.perform import Material

        return Material(workspace=self.workspace, programme=self.programme, judge=warm_judge, models=self._models)

    def key(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The key document of the phase as a whole: when it and the evidence are unchanged, nothing is left to do."""
        added = extensions_in(self.programme, self.environment.id)
        used = {"extensions": added} if added else {}
        inputs = {"phase": self.phase.id, "files": self.catalogue.digests, "asked": asked, **used}
        return {"stage": "capability-phase", "rules": rules.versions(), "inputs": inputs}


@cache
def warm_judge() -> "Judge":
    """This process's judge, started when it is first asked for and ended with the process; it loads meanwhile."""
    from tasks.judge import start_judge

    judge = start_judge()
    atexit.register(judge.stop)
    return judge


@contextmanager
def open_desk(
    phase: str,
    *,
    catalog: Path,
    home: Path,
    environment: str = "",
    occasion: str = "",
    again: Collection[str] = (),
    wait: Callable[[str], object] | None = None,
) -> Iterator[Desk]:
    """A desk that holds the workspace for itself until it is closed. `wait`: see `Workspace.lock`.

    Raises DeclarationError with every fault of the catalogue, and UsageError for tests that cannot be executed or are
    to be executed `again` and not planned, before anything is written.
    """
    from tasks.declare import is_declared
    from tasks.hold_inputs import hold_inputs

    catalogue = read_catalogue(catalog)
    models: dict[str, VolumeModel] = {}
    refuse_unplanned(catalogue.programme, phase, environment, again, models=models)
    refuse_as_home(home)
    if not is_declared(home, catalogue):  # what is recorded as declared was held then
        hold_inputs(catalogue)
    workspace = Workspace.open(home, create=True)
    with workspace.lock(wait=wait):
        yield Desk(catalogue, catalog, workspace, phase, environment, occasion, models)


def asked(environment: str, types: Sequence[str], tests: Sequence[str], sample: str = "") -> dict[str, Any]:
    """What a run was asked for, as the phase's key holds it."""
    sampled = {"sample_reliance": sample} if sample else {}
    return {"environment": environment, "types": list(types), "tests": list(tests), **sampled}


def is_asked_for(test: str, patterns: Sequence[str]) -> bool:
    """Whether a test's id matches one of the patterns (`*` and `?` as in file names); all do where there is none."""
    return not patterns or any(fnmatchcase(test, pattern) for pattern in patterns)


def refuse_unplanned(
    programme: Programme,
    phase: str,
    environment: str,
    again: Collection[str] = (),
    patterns: Sequence[str] = (),
    *,
    models: "dict[str, VolumeModel] | None" = None,
) -> None:
    """Raises UsageError for tests that cannot be executed, or are asked for and not planned. `models`: see there."""
    tests = planned_tests(programme, phase, environment, models)
    for test in again:
        find_test(tests, phase, test)
    for pattern in patterns:
        if not any(is_asked_for(each.test, [pattern]) for each in tests):
            known = ", ".join(each.test for each in tests)
            raise UsageError(f"{phase} plans no test that matches {pattern!r}", remedy=f"It plans: {known}.")


def refuse_missing_injectors(programme: Programme, phase: str, environment: str) -> None:
    """Raises WorldError, with the line that installs it, where an injector of the planned tests is not installed."""
    from tasks.inject.choice import require_injector

    found = find_environment(programme, environment)
    for each in planned_tests(programme, phase, environment):
        require_injector(found, each.profile.type)


def find_phase(programme: Programme, phase: str) -> Phase:
    """The phase of that id. Raises UsageError, naming those that there are."""
    try:
        return programme.phase(phase)
    except KeyError:
        known = ", ".join(each.id for each in programme.programme.phases)
        raise UsageError(f"there is no phase {phase!r} in programme {programme.programme.programme}",
                         remedy=f"Its phases are: {known}.") from None  # fmt: skip


def planned_tests(
    programme: Programme, phase: str, environment: str, models: "dict[str, VolumeModel] | None" = None
) -> "list[PlannedTest]":
    """The planned tests of the phase, from the declarations alone. Raises UsageError as its parts do.

    `models`: volume models by phase, which gets those that are generated here.
    """
    from tasks.plan import phases_needed, plan_tests
    from tasks.volumes.model import model_phase

    found = find_environment(programme, environment)
    phase = find_phase(programme, phase).id
    models = {} if models is None else models
    models |= {each: model_phase(programme, each) for each in phases_needed(programme, phase) if each not in models}
    volumes = {each: model.rows for each, model in models.items()}
    return plan_tests(programme, phase, found, volumes, occasion=phase)


def find_test(tests: "Sequence[PlannedTest]", phase: str, test: str) -> "PlannedTest":
    """The planned test of that id. Raises UsageError with the nearest there is."""
    for each in tests:
        if each.test == test:
            return each
    remedy = suggestion(test, [each.test for each in tests])
    raise UsageError(f"phase {phase} plans no test {test!r}", remedy=remedy)


def find_environment(programme: Programme, environment: str) -> Environment:
    """The environment of that id, the programme's own where it is empty. Raises UsageError, naming those there are."""
    try:
        return programme.environment(environment or programme.programme.default_environment)
    except KeyError:
        known = ", ".join(each.id for each in programme.environments)
        raise UsageError(f"there is no environment {environment!r}", remedy=f"Declared are: {known}.") from None


def regression_of(programme: Programme, which: str) -> Regression | NamedRegression:
    """The declared regression of that id, the scheduled one where it is empty. Raises UsageError, naming those there
    are."""
    others = programme.programme.regression.others
    found = next((each for each in others if each.id == which), None)
    if which and found is None:
        known = ", ".join(each.id for each in others) or "none beside the scheduled one"
        raise UsageError(f"there is no regression {which!r}", remedy=f"Declared are: {known}.")
    return found or programme.programme.regression


def occasion_of(programme: Programme, asked: str, which: str = "") -> str:
    """The occasion of a regression: what was asked for, else today's. `which`: the regression's id, if it has one.

    Raises UsageError for a capability phase's name, whose own runs would be taken for the regression's, and for what
    is no name of a folder.
    """
    occasion, remedy = (
        asked or f"{which or 'regression'}-{today()}",
        "Give none for today's, or a name such as regression-2026-01-31.",
    )
    if occasion in {phase.id for phase in programme.programme.phases}:
        raise UsageError(f"{occasion!r} is a capability phase, and a regression is none", remedy=remedy)
    if not _OCCASION.fullmatch(occasion):
        raise UsageError(f"{occasion!r} does not name an occasion", remedy=remedy)
    return occasion


_OCCASION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # it names a folder of reports


def actor_name() -> str:
    """Whoever runs this, as records name them: `PLIMSOLL_ACTOR`, else the login name."""
    return os.environ.get("PLIMSOLL_ACTOR") or getpass.getuser()


def today() -> str:
    """The day, as ages of evidence and approvals are held against it: ISO, UTC."""
    return datetime.now(UTC).date().isoformat()


def code_version() -> str:
    """The version of this code, as records name it."""
    return f"plimsoll {metadata.version('plimsoll')}"

"""A capability phase, from declarations to completion report: its stages in their order.

`flows.capability_phase` runs it as a flow of Prefect. A report that is assembled from what is recorded comes from here
directly: neither Prefect nor its API is started for it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.desk import Desk, asked, open_desk, warm_judge
from flows.recovery import recover
from flows.remote import at_home
from flows.stage import in_flow
from flows.stages import (
    choose,
    compose,
    conduct,
    declare,
    derive_volumes,
    endings,
    executed_now,
    index,
    is_observed,
    measure,
    observe,
    plan,
    raise_issues,
    refuse_without_room,
    report,
    sample,
    tabulate_volumes,
)

if TYPE_CHECKING:
    from flows.cluster import Cluster
    from tasks.plan import Decided


def run_phase(
    phase: str,
    *,
    catalog: Path,
    home: str,
    environment: str = "",
    types: Sequence[str] | None = None,
    tests: Sequence[str] | None = None,
    again: Mapping[str, str] | None = None,
    occasion: str = "",
    execute: bool = True,
    sample_reliance: str = "",
    cluster: str = "",
    shards: int = 0,
    wait: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Runs a capability phase; returns the digest of the report's record and how many tests were executed.

    See `flows.capability_phase.capability_phase`, whose parameters these are, and `Workspace.lock` for `wait`.
    """
    where: dict[str, Any] = {"catalog": catalog, "home": at_home(home), "environment": environment, "wait": wait}
    with (
        open_desk(phase, **where, occasion=occasion, again=again or {}) as desk,
        joined(cluster, shards) as desk.cluster,
    ):
        done = conclude(
            desk,
            types=types or [],
            tests=tests or [],
            again=again or {},
            execute=execute,
            sample_reliance=sample_reliance,
            environment=environment,
        )
        index(desk)
        return done


def conclude(
    desk: Desk,
    *,
    types: Sequence[str] = (),
    tests: Sequence[str] = (),
    again: Mapping[str, str] | None = None,
    execute: bool = True,
    sample_reliance: str = "",
    environment: str = "",
) -> dict[str, Any]:
    """Takes a phase, or a regression, from its declarations to its signed report; see `run_phase`."""
    declared = declare(desk)
    if execute or not is_observed(desk, declared):
        warm_judge()  # it loads while the stages before it run
    recover(desk)
    volumes = derive_volumes(desk, declared)
    tabulated = tabulate_volumes(desk, declared, volumes)
    planned, decided = plan(desk, declared, volumes, again or {})
    chosen = choose(decided, types, tests, execute=execute)
    doing = sample(desk, planned, chosen, sample_reliance) if sample_reliance else chosen
    refuse_without_room(desk, doing)
    with _attended(desk, doing) as tell:
        for place, each in enumerate(doing, 1):
            conduct(desk, each, volumes[each.planned.plan.volumes_of], f"{place} of {len(doing)}")
            tell(place, each.planned.test)
    ended = endings(desk, decided, chosen)
    measured = measure(desk, ended)
    observed = observe(desk, declared, ended, measured)
    raise_issues(desk, ended, observed)
    composed = compose(desk, declared, ended)
    concluded = {
        "declared": declared,
        "tabulated": tabulated,
        "planned": planned,
        "observed": observed,
        "composed": composed,
    }
    asked_for = asked(environment, types, tests, sample_reliance)
    reported = report(desk, concluded, volumes, measured, ended, chosen, asked_for)
    if in_flow():
        from flows.artifacts import show_report

        show_report(desk, reported)
    return {"record": reported.digest, "executed": executed_now(ended, doing)}


@contextmanager
def _attended(desk: Desk, doing: "Sequence[Decided]") -> "Iterator[Callable[[int, str], None]]":
    """While tests are conducted: machine and environment are this run's alone, and Prefect's pages show how far it is.

    Outside a flow nothing is executed, and nobody watches.
    """
    if not in_flow():
        yield lambda _done, _last: None
        return
    from flows.alone import alone
    from flows.artifacts import showing

    with alone(desk, doing), showing(desk, len(doing)) as tell:
        yield tell


def joined(address: str, shards: int) -> "AbstractContextManager[Cluster | None]":
    """The cluster that the flow works with, none where none is named: what joins one imports Prefect."""
    if not address and not shards:
        return nullcontext()
    from flows.cluster import join

    return join(address, shards)

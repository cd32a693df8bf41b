"""A capability phase, from declarations to completion report: its stages in their order.

`flows.capability_phase` runs it as a flow of Prefect. A report that is assembled from what is recorded comes from here
directly: neither Prefect nor its API is started for it.
"""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.desk import asked, open_desk, warm_judge
from flows.recovery import recover
from flows.remote import at_home
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
    report,
    sample,
    tabulate_volumes,
)

if TYPE_CHECKING:
    from flows.cluster import Cluster


def run_phase(
    phase: str,
    *,
    catalog: Path,
    home: str,
    environment: str = "",
    types: list[str] | None = None,
    tests: list[str] | None = None,
    again: dict[str, str] | None = None,
    occasion: str = "",
    execute: bool = True,
    sample_reliance: str = "",
    cluster: str = "",
    shards: int = 0,
) -> dict[str, Any]:
    """Runs a capability phase; returns the digest of the report's record and how many tests were executed.

    See `flows.capability_phase.capability_phase`, whose parameters these are.
    """
    at = at_home(home)
    with (
        open_desk(
            phase, catalog=catalog, home=at, environment=environment, occasion=occasion, again=again or {}
        ) as desk,
        _joined(cluster, shards) as desk.cluster,
    ):
        declared = declare(desk)
        if execute or not is_observed(desk, declared):
            warm_judge()  # it loads while the stages before it run
        recover(desk)
        volumes = derive_volumes(desk, declared)
        tabulated = tabulate_volumes(desk, declared, volumes)
        planned, decided = plan(desk, declared, volumes, again or {})
        chosen = choose(decided, types or [], tests or [], execute=execute)
        doing = sample(desk, planned, chosen, sample_reliance) if sample_reliance else chosen
        for place, each in enumerate(doing, 1):
            conduct(desk, each, volumes[each.planned.plan.volumes_of], f"{place} of {len(doing)}")
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
        asked_for = asked(environment, types or [], tests or [], sample_reliance)
        reported = report(desk, concluded, volumes, measured, ended, chosen, asked_for)
        index(desk)
        return {"record": reported.digest, "executed": executed_now(ended, doing)}


def _joined(address: str, shards: int) -> "AbstractContextManager[Cluster | None]":
    """The cluster that the flow works with, none where none is named: what joins one imports Prefect."""
    if not address and not shards:
        return nullcontext()
    from flows.cluster import join

    return join(address, shards)

"""The capability phase: one flow from declarations to completion report, as deployments and `plimsoll run` know it."""

from pathlib import Path
from typing import Any

from prefect import flow

from flows.cli import CATALOG
from flows.cluster import join
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
    measure,
    observe,
    plan,
    raise_issues,
    report,
    sample,
    tabulate_volumes,
)


@flow(name="capability-phase", flow_run_name="{phase}", persist_result=False)
def capability_phase(
    phase: str,
    catalog: str = str(CATALOG),
    home: str = ".plimsoll",
    environment: str = "",
    types: list[str] | None = None,
    tests: list[str] | None = None,
    again: dict[str, str] | None = None,
    occasion: str = "",
    execute: bool = True,  # noqa: FBT001, FBT002  # a deployment's parameter
    sample_reliance: str = "",
    cluster: str = "",
    shards: int = 0,
) -> dict[str, Any]:
    """Runs a capability phase; returns the digest of the report's record and how many tests were executed.

    `types`: only tests of these types (all when absent); `tests`: only those whose id matches a pattern. `again`: tests
    to execute anew, each with the reason. `occasion`: what the runs are counted within, the phase unless a regression
    gives its date. `execute`: without it the report is assembled from what is recorded.
    `sample_reliance`: the share of the tests that may rest on earlier evidence and are executed all the same, such as
    0.2, or with a seed, 0.2:42. `cluster`: the address of a Dask scheduler whose workers offer loads, in so many
    `shards` (one a worker where it is 0), and measure.
    """
    where: dict[str, Any] = {"catalog": Path(catalog), "home": at_home(home), "environment": environment}
    with open_desk(phase, **where, occasion=occasion, again=again or {}) as desk, join(cluster, shards) as desk.cluster:
        warm_judge()
        declared = declare(desk)
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

"""The capability phase as deployments and `plimsoll run` know it: a flow of Prefect over `flows.phase`."""

from pathlib import Path
from typing import Any

from prefect import flow

from flows.cli import CATALOG
from flows.deployed import HOOKS, patience, settle
from flows.phase import run_phase


@flow(name="capability-phase", flow_run_name="{phase}", persist_result=False, **HOOKS)
def capability_phase(
    phase: str,
    catalog: str = str(CATALOG),
    home: str = "",
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
    return run_phase(
        phase,
        catalog=Path(catalog),
        home=settle(home),
        environment=environment,
        types=types,
        tests=tests,
        again=again,
        occasion=occasion,
        execute=execute,
        sample_reliance=sample_reliance,
        cluster=cluster,
        shards=shards,
        wait=patience(),
    )

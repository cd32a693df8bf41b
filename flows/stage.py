"""How stages run: as tasks of Prefect while a flow of it runs, and as the functions that they are where none does.

A report that is assembled from recorded evidence needs no flow: nothing is executed, and nobody watches it.
"""

import sys
from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from flows.interrupt import check

Given = ParamSpec("Given")
Found = TypeVar("Found")


def stage(name: str, *, run_name: str = "") -> Callable[[Callable[Given, Found]], Callable[Given, Found]]:
    """Makes a function a stage of that name. `run_name`: that of a task run, with `{parameters}` of the function."""

    def made(function: Callable[Given, Found]) -> Callable[Given, Found]:
        @wraps(function)
        def call(*args: Given.args, **kwargs: Given.kwargs) -> Found:
            check()
            run = _task(function, name, run_name) if in_flow() else function
            return run(*args, **kwargs)

        return call

    return made


def in_flow() -> bool:
    """Whether a flow of Prefect runs here. Importing Prefect takes two seconds: where nobody did, none runs."""
    if "prefect" not in sys.modules:
        return False
    from prefect.context import FlowRunContext

    return FlowRunContext.get() is not None


@cache
def _task(function: Callable[..., Any], name: str, run_name: str) -> Callable[..., Any]:
    """The task: nothing is cached or persisted by Prefect. What was done is in the ledger, and only there."""
    from prefect import task
    from prefect.cache_policies import NO_CACHE

    return task(name=name, task_run_name=run_name or None, cache_policy=NO_CACHE, persist_result=False)(function)

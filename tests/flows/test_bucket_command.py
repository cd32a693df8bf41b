"""A phase on a bucket, by the command line: run on one machine, and read, relied on and verified on another."""

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from phases import Bench

from catalog.lineage import figures

pytestmark = pytest.mark.end_to_end

TEST = "pilot.storefront.load"
URL = "s3://evidence/programmes/shop"


@pytest.fixture
def here(shop: Bench, tmp_path: Path, bucket_server: dict[str, str]) -> Bench:
    environ = {**shop.environ, **bucket_server, "PLIMSOLL_CACHE": str(tmp_path / "here")}
    return replace(shop, home=cast("Path", URL), environ=environ)


def test_a_phase_on_a_bucket_is_there_for_every_machine(here: Bench, tmp_path: Path) -> None:
    nothing = here.run("verify")
    assert (nothing.status, f"no workspace at {URL}" in nothing.stderr) == (2, True)
    ran = here.run("run", "pilot", "--tests", TEST)
    assert f"--home {URL}" in ran.stdout, ran.stderr
    there = replace(here, environ={**here.environ, "PLIMSOLL_CACHE": str(tmp_path / "there")})
    planned = {each["test"]: each["decision"] for each in there.run("plan", "pilot", "--json").answer["tests"]}
    assert (planned[TEST], set(planned.values())) == ("complete", {"complete", "execute"})
    again = there.run("run", "pilot", "--json", "--tests", TEST)
    assert again.answer["executed"] == 0, again.stderr
    report = Path(again.answer["report"])
    assert report.is_relative_to(tmp_path / "there")
    figure = next(figures(json.loads(report.with_suffix(".json").read_text())))["figure"]
    assert "declared" in there.run("lineage", figure).stdout
    exported = there.run("export", "pilot", "--json", "--out", str(tmp_path / "pilot.zip"))
    assert exported.status == 0, exported.stderr
    outcome = there.run("verify", "--json", "--head", exported.answer["head"])
    assert outcome.answer["faults"] == []
    assert outcome.answer["freshness"] == "proven"
    assert outcome.answer["records"] == exported.answer["records"]
    assert there.run("verify", str(tmp_path / "pilot.zip"), "--json").answer["ok"]


def test_a_bucket_that_cannot_be_used_is_the_environments_fault_and_no_traceback(here: Bench) -> None:
    for url, status, said in (
        ("s3://nowhere/shop", 3, "The specified bucket does not exist"),
        ("gs://evidence/shop", 2, "is no bucket that a workspace can be on"),
    ):
        ended = replace(here, home=cast("Path", url)).run("plan", "pilot")
        assert ended.status == status
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr

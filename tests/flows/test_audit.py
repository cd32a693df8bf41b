"""What an auditor does with a phase that ran: computes it again, takes a bundle along, withdraws evidence."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from phases import PLIMSOLL, PREFECT, Bench, make_shop

from catalog import rules, second_verifier
from catalog.canonical import canonical, document_digest
from catalog.ledger import GENESIS, Kind
from catalog.verification import verify
from catalog.workspace import HISTORY, Workspace
from flows.cli import main
from tasks import reperform
from tasks.parquet import read_table
from tasks.perform import table
from tasks.reperform import ISSUE, STAGES, pure_records, sampled

pytestmark = pytest.mark.end_to_end

BLOCKING = """
import sys

def _refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.bind"):
        raise PermissionError(f"{event} {arguments} from a process that has no business with the network")

sys.addaudithook(_refuse)
"""


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory, surroundings: dict[str, str]) -> Bench:
    """A pilot whose load tests were executed, and a launch that relies on them; tests may read it."""
    bench = make_shop(tmp_path_factory.mktemp("phases"), surroundings)
    first = bench.run("run", "pilot", "--tests", "*.load")
    assert "executed now 2" in first.stdout, first.stderr
    second = bench.run("run", "launch", "--tests", "*.load")
    assert "relied on 2" in second.stdout, second.stderr
    return bench


@pytest.fixture
def bench(phases: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A copy of it, to be changed, in this process's surroundings too."""
    shutil.copytree(phases.home, tmp_path / "home")
    shutil.copytree(phases.catalog, tmp_path / "shop")
    for name in ("XDG_CONFIG_HOME", "PREFECT_HOME", *PREFECT, "PLIMSOLL_ACTOR"):
        monkeypatch.setenv(name, phases.environ[name])
    return replace(phases, home=tmp_path / "home", catalog=tmp_path / "shop")


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(each) for each in arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    return json.loads(answered(capsys, *arguments, "--json")[1])


def only(*stages: str) -> list[str]:
    return [word for stage in stages for word in ("--only", stage)]


def rechain(home: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Rewrites the ledger as somebody does who changes a record and computes every digest behind it again."""
    file = home / "ledger" / "000000000001.jsonl"
    previous, lines, renamed = GENESIS, [], {}
    for line in file.read_bytes().splitlines():
        document = json.loads(line)
        was = document.pop("digest")
        document["previous"] = previous
        for item in document["inputs"]:
            item["digest"] = renamed.get(item["digest"], item["digest"])
        change(document)
        previous = renamed[was] = document_digest(document)
        lines.append(canonical({**document, "digest": previous}) + b"\n")
    file.write_bytes(b"".join(lines))


def state(home: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in [home, *home.rglob("*")]}


def test_every_pure_stage_comes_to_the_same_bytes_without_network_and_writing(bench: Bench, tmp_path: Path) -> None:
    """Nothing in this process tree may touch a socket; the catalogue of today is gone, too."""
    (tmp_path / "blocking").mkdir()
    (tmp_path / "blocking" / "sitecustomize.py").write_text(BLOCKING)
    shutil.rmtree(bench.catalog)
    before = state(bench.home)
    ended = subprocess.run(
        [PLIMSOLL, "reperform", bench.home, "--json"],
        capture_output=True,
        text=True,
        check=False,
        env={**bench.environ, "PYTHONPATH": str(tmp_path / "blocking")},
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    found = json.loads(ended.stdout)
    assert (found["ok"], found["not_comparable"]) == (True, [])
    none = {HISTORY, "incident", ISSUE}  # no regression was run; all is proved (else: test_governance.py)
    assert {each["stage"] for each in found["stages"]} == set(STAGES) - none
    assert all(each["same"] and each["result"] == "the same" and each["differs"] == [] for each in found["stages"])
    assert len(found["stages"]) == len(pure_records(Workspace.open(bench.home)))
    assert state(bench.home) == before


def test_a_table_says_what_was_computed_again(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    stages = ("declare", "volumes", "volume-model", "plan", "arrivals", "rely", "measure", "compose", "report")
    status, out, err = answered(capsys, "reperform", bench.home, *only(*stages))
    assert status == 0, out
    assert "✔ whatever could be compared came to the same" in out
    assert all(f" {stage} " in out for stage in stages)
    assert "report, record" in err


def forge_measurement(bench: Bench) -> None:
    """The p95 of one run is halved: the table, its record, and every digest after it."""
    workspace = Workspace.open(bench.home)
    record = next(each for each in workspace.ledger.records() if each.stage == "measure")
    rows = read_table("measurements", workspace.store.get(record.output("measurements") or ""))
    wanted = rows["metric"] == "latency-p95"
    assert wanted.any()
    for column in ("value", "lower", "upper"):
        rows.loc[wanted, column] = rows.loc[wanted, column] // 2
    forged = table("measurements", rows)
    assert isinstance(forged.data, bytes)
    name = workspace.store.put(forged.data)
    was = record.output("measurements")

    def change(document: dict[str, Any]) -> None:
        for item in (*document["inputs"], *document["outputs"]):
            if item["digest"] == was:
                item["digest"] = name
                item |= {"rows": forged.rows} if "rows" in item else {}

    rechain(bench.home, change)


def test_a_forged_measurement_is_named_with_its_cells(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    forge_measurement(bench)
    assert answered(capsys, "reperform", bench.home, *only("measure"))[0] == 4
    found = answer(capsys, "reperform", bench.home, *only("measure"))
    assert found["ok"] is False
    bad = [each for each in found["stages"] if not each["same"]]
    assert len(bad) == 2  # in the launch that relies on it, too
    assert {(each["stage"], each["differs"][0]["output"]) for each in bad} == {("measure", "measurements")}
    assert any(", value: " in what for what in bad[0]["differs"][0]["what"])


def test_a_forged_fact_is_named_by_its_path(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace.open(bench.home)
    report = workspace.select(Kind.REPORTED)[0]
    facts = workspace.store.document(report.output("facts") or "")
    facts["observations"]["rows"][0]["verdict"] = "not proved"
    name = workspace.store.put_document(facts)

    def change(document: dict[str, Any]) -> None:
        for item in document["outputs"]:
            item["digest"] = name if item["digest"] == report.output("facts") else item["digest"]
        if document["kind"] == "reported":
            document["parameters"]["verdicts"]["proved"] += 1

    rechain(bench.home, change)
    status, out, _ = answered(capsys, "reperform", bench.home, *only("report"))
    assert status == 4
    assert "facts: observations.rows[0].verdict: not proved → proved" in out
    assert "it was made by another ledger than the one before it" in out  # the plan of the launch
    assert out.count("its counts of verdicts and ends are others") == 1


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        ("measure", f"rules {rules.MEASURE}, this is 9"),
        ("plan", "this is ["),
        ("report", f"measure rules {rules.MEASURE}, this is 9"),
    ],
)
def test_other_rules_are_not_comparable_and_counted_apart(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stage: str, told: str
) -> None:
    monkeypatch.setattr(rules, "MEASURE", 9)
    status, out, _ = answered(capsys, "reperform", bench.home, *only(stage))
    assert status == 0
    assert told in out
    assert "not comparable" in out
    found = answer(capsys, "reperform", bench.home, *only(stage, "volumes"))
    assert (found["ok"], {each["stage"] for each in found["not_comparable"]}) == (True, {stage})
    assert {each["stage"] for each in found["stages"]} == {"volumes"}


def test_other_libraries_are_named_where_bytes_differ(
    bench: Bench, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if another version packed the tables: other bytes, the same rows."""
    plain = reperform.perform

    def padded(*arguments: Any) -> Any:
        return {role: replace(each, data=each.data + b" ") for role, each in plain(*arguments).items()}

    monkeypatch.setattr(reperform, "perform", padded)
    assert answered(capsys, "reperform", bench.home, *only("volumes"))[0] == 4  # under the same versions, a difference
    monkeypatch.setattr(reperform, "other_versions", lambda _: ["fastparquet 1 → 2"])
    status, out, _ = answered(capsys, "reperform", bench.home, *only("volumes"))
    assert status == 0
    assert "the same rows, written as other bytes" in out
    assert "libraries: fastparquet 1 → 2" in out


def test_a_missing_object_is_a_difference_and_the_rest_goes_on(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace.open(bench.home)
    executed = workspace.select(Kind.EXECUTED)[0]
    workspace.store.path(executed.output("run") or "").unlink()
    found = answer(capsys, "reperform", bench.home, *only("measure", "volumes"))
    told = [each["differs"][0]["what"][0] for each in found["stages"] if not each["same"]]
    assert told
    assert all("could not be computed again" in what and "missing" in what for what in told)
    assert any(each["same"] for each in found["stages"])


def test_a_sample_is_a_share_of_each_stage_and_can_be_drawn_again(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    records = pure_records(Workspace.open(bench.home))
    for share in (0.01, 0.5, 0.99):
        drawn = sampled(records, share, 7)
        assert drawn == sampled(records, share, 7)
        assert {each.stage for each in drawn} == {each.stage for each in records}
        assert drawn == [each for each in records if each in drawn]
    assert len({tuple(each.sequence for each in sampled(records, 0.5, seed)) for seed in range(20)}) > 1
    found = answer(capsys, "reperform", bench.home, *only("volumes"), "--sample", "0.4:3")
    assert found["sample"].endswith("drawn with 0.4:3")
    assert 0 < len(found["stages"]) < len(pure_records(Workspace.open(bench.home), ["volumes"]))
    assert "to draw the same" in answered(capsys, "reperform", bench.home, *only("volumes"), "--sample", "0.4")[1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "mesure"], "Did you mean 'measure'?"),
        (["--only", "execute"], "no pure stage 'execute'"),
        (["--sample", "0"], "no share of the records"),
        (["--sample", "2"], "no share of the records"),
        (["--sample", "nan"], "no share of the records"),
        (["--sample", "0.5:x"], "no share of the records"),
    ],
)
def test_what_makes_no_sense_is_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    status, out, err = answered(capsys, "reperform", bench.home, *arguments)
    assert (status, out) == (2, "")
    assert told in err


def test_a_bundle_is_verified_computed_again_and_walked_like_a_workspace(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for phase in ("pilot", "launch"):
        bundle = tmp_path / f"{phase}.zip"
        written = answer(capsys, "export", phase, "--out", bundle, "--home", bench.home)
        first = bundle.read_bytes()
        status, out, _ = answered(capsys, "export", phase, "--out", bundle, "--home", bench.home)
        assert (status, bundle.read_bytes()) == (0, first)
        assert written["sha256"] in out
        (tmp_path / "said").write_text(out)
        found = answer(capsys, "verify", bundle, "--head", tmp_path / "said")
        assert (found["ok"], found["freshness"], found["faults"]) == (True, "proven", [])
        assert second_verifier.main([str(bundle), "--head", found["head"]]) == 0, capsys.readouterr().out
        capsys.readouterr()
        stages = only(*(stage for stage in STAGES if stage != "observe"))
        again = answer(capsys, "reperform", bundle, *stages)
        assert again["ok"], again
        assert ("rely" in {each["stage"] for each in again["stages"]}) is (phase == "launch")
        status, out, _ = answered(capsys, "lineage", "outcome/proved", "--home", bundle)
        assert (status, "executed by execute" in out) == (0, True)
    (tmp_path / "two.txt").write_text(f"1:{'0' * 64}\n2:{'1' * 64}\n")
    (tmp_path / "none.txt").write_text("nothing")
    for name, told in (("two.txt", "more than one head"), ("none.txt", "no head")):
        status, _, err = answered(capsys, "verify", bench.home, "--head", tmp_path / name)
        assert (status, told in err) == (2, True)
    status, _, err = answered(capsys, "verify", tmp_path / "none.txt")
    assert (status, "no folder, and no bundle" in err) == (2, True)


def test_a_withdrawn_run_makes_whatever_rested_on_it_inconclusive(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    run, where = "pilot/pilot.orders.load/1", ("--catalog", bench.catalog, "--home", bench.home)
    assert answered(capsys, "withdraw", run, "--home", bench.home)[0] == 2
    status, out, _ = answered(capsys, "withdraw", run, "--home", bench.home, "--reason", "a wrong clock")
    assert (status, "(relied rely) rests on it" in out) == (0, True)
    status, _, err = answered(capsys, "withdraw", run, "--home", bench.home, "--reason", "again", "--json")
    assert (status, "was withdrawn by tester" in err) == (2, True)
    status, out, _ = answered(capsys, "explain", "launch.orders.load", *where)
    assert "the evidence that it was relied on was withdrawn: pilot/pilot.orders.load/1" in out
    compared = answer(capsys, "explain", "launch.orders.load", *where)["compared"]
    assert compared[0]["new"].endswith(": a wrong clock")
    assert any(each["allows"] for each in compared)
    status, out, _ = answered(capsys, "lineage", "outcome/proved", "--home", bench.home, "--phase", "launch")
    assert "withdrawn by tester" in out
    assert "a wrong clock" in out
    assert_reported_as_withdrawn(bench, capsys)
    assert verify(bench.home).ok
    found = answer(capsys, "reperform", bench.home, *only("plan", "rely", "report", "compose"))
    assert found["ok"], found


def assert_reported_as_withdrawn(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for phase in ("pilot", "launch"):
        status, out, err = answered(capsys, "report", phase, "--catalog", bench.catalog, "--home", bench.home, "--json")
        assert status == 1, err
        assert json.loads(out)["executed"] == 0
        workspace = Workspace.open(bench.home)
        newest = [each for each in workspace.ledger.records() if each.kind is Kind.REPORTED][-1]
        facts = workspace.store.document(newest.output("facts") or "")
        rows = facts["observations"]["rows"]
        mine = [row for row in rows if row["test"] == f"{phase}.orders.load"]
        assert mine
        assert {row["verdict"] for row in mine} == {"inconclusive"}
        assert all("evidence withdrawn: " in row["reason"] and "a wrong clock" in row["reason"] for row in mine)
        assert {row["verdict"] for row in rows if row not in mine} == {"proved"}
        page = (bench.home / "reports" / phase / "report.html").read_text()
        assert "evidence withdrawn" in page
        ends = {test["test"]: test["end"] for test in facts["tests"]}
        assert {ends[f"{phase}.{name}.load"] for name in ("orders", "storefront")} == (
            {"executed"} if phase == "pilot" else {"relied"}
        )


def test_the_exit_status_of_an_unreadable_ledger_is_that_of_evidence(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    file = bench.home / "ledger" / "000000000001.jsonl"
    os.truncate(file, 10)
    with file.open("ab") as ledger:
        ledger.write(b"\n")
    assert answered(capsys, "reperform", bench.home)[0] == 4
    assert answered(capsys, "export", "pilot", "--home", bench.home, "--out", bench.home.parent / "x.zip")[0] == 4


def test_the_documented_queries_answer_from_a_real_ledger(bench: Bench) -> None:
    """All but the one about withdrawn evidence, of which there is none, have something to say."""
    import duckdb

    from tasks.index_tables import EXAMPLES

    with duckdb.connect(bench.home / "plimsoll.duckdb", read_only=True) as connection:
        answers = {each.question: connection.execute(each.query).fetchall() for each in EXAMPLES}
    assert [question for question, rows in answers.items() if not rows] == [
        "Does anything that is claimed rest on what was withdrawn?"
    ]
    counted = next(rows for question, rows in answers.items() if "counted again" in question)
    assert all(measured == again for _, measured, again in counted)


@pytest.mark.parametrize("form", ["openlineage", "prov", "ro-crate", "in-toto"])
def test_a_real_phase_is_exported_in_the_form_of_each_standard(
    form: str, bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import standards

    from catalog.signing import Signer, key_path

    file = tmp_path / f"launch.{form}"
    said = answer(capsys, "export", "launch", "--as", form, "--out", file, "--home", bench.home)
    assert (said["as"], said["bytes"]) == (form, file.stat().st_size)
    match form:
        case "openlineage":
            found = standards.openlineage_events(file.read_bytes())
            judged = [each for event in found for each in event.inputs if each.inputFacets]
            assert {each.name.partition("/")[0] for each in judged} == {"measurements"}
        case "prov":
            standards.prov_document(file.read_bytes())
        case "ro-crate":
            assert standards.crate(file, tmp_path / "crate").mainEntity.id == "catalogue/tests.yaml"
        case _:
            key = Signer.open(key_path(), outside=bench.home).public_key
            found = standards.in_toto_statements(file.read_bytes(), key)
            assert {each["predicate"].get("result") for each in found} >= {"PASSED"}


def test_only_openlineage_is_sent_and_one_place_is_named(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = answered(capsys, "export", "launch", "--as", "prov", "--to", "http://x", "--home", bench.home)
    assert status == 2
    assert "only OpenLineage's events are sent" in err
    status, _, err = answered(
        capsys, "export", "launch", "--as", "openlineage", "--to", "http://127.0.0.1:9", "--home", bench.home
    )
    assert status == 3
    assert "took 0 of" in err


def test_one_record_is_computed_again_alone(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    measured = next(each for each in Workspace.open(bench.home).ledger.records() if each.stage == "measure")
    found = answer(capsys, "reperform", bench.home, "--record", measured.sequence)
    assert [(each["record"], each["same"]) for each in found["stages"]] == [(measured.sequence, True)]
    status, _, err = answered(capsys, "reperform", bench.home, "--record", 99_999)
    assert status == 2
    assert "there is no record 99999" in err


def test_the_page_of_lineage_lies_beside_the_report_and_its_figures_lead_to_it(bench: Bench) -> None:
    folder = bench.home / "reports" / "launch"
    report, page = (folder / "report.html").read_text(), (folder / "lineage.html").read_text()
    linked = {unescape(unquote(name)) for name in re.findall(r'href="?lineage\.html#([^" >]+)', report)}
    document = json.loads(re.findall(r'id="document">([^<]*)<', page)[0])
    mine = next(each for each in document["reports"] if each["phase"] == "launch")
    assert "outcome/proved" in linked
    assert linked <= {document["words"][figure[0]] for figure in mine["figures"]}
    assert "default-src 'none'" in page
    assert verify(bench.home).ok
    (folder / "lineage.html").write_text(page.replace('"outcome/proved"', '"outcome/proven"', 1))
    assert [fault.where for fault in verify(bench.home).faults] == ["reports/launch/lineage.html"]


# --- impact analysis --------------------------------------------------------------------------------------------------


def test_a_relied_test_is_explained_with_every_input_and_its_digest(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--catalog", bench.catalog, "--home", bench.home)
    told = answer(capsys, "explain", "launch.orders.load", *where)
    assert (told["decision"], told["impact"]["roots"], told["decided_then"]) == ("rely", [], None)
    assert told["rule"]["scope"] == "path"
    for each in told["compared"]:
        assert each["allows"]
        assert each["old_digest"] == (None if each["old"] is None else document_digest(each["old"]))
    status, out, _ = answered(capsys, "explain", "launch", *where)
    assert status == 0
    for words in (
        "The rule in force",
        "launch.orders.load  rely",
        "conclusion     relied on",
        "Not compared, on purpose",
    ):
        assert words in out


def test_what_was_executed_is_explained_by_the_plan_before_its_run(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--catalog", bench.catalog, "--home", bench.home)
    told = answer(capsys, "explain", "pilot.orders.load", *where)
    assert (told["decision"], told["decided_then"]["decision"]) == ("complete", "execute")
    assert "decided then   execute: never executed in this phase" in answered(
        capsys, "explain", "pilot.orders.load", *where
    )[1]  # fmt: skip


def test_root_causes_are_told_apart_from_what_they_propagate(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--catalog", bench.catalog, "--home", bench.home)
    bench.edit("assumptions.yaml", "value: 0.04\n", "value: 0.05\n")
    bench.edit("programme.yaml", 'version: "0.1"', 'version: "0.2"')
    _, out, _ = answered(capsys, "explain", "launch.orders.load", *where)
    assert "root cause     · assumptions[ordering-share].value: 0.04 → 0.05" in out
    assert "propagates to volumes.purchase|order-status|request, volumes.purchase|place-order|request" in out
    assert "apart          changed in the declarations, and not compared here: programme.approach_document" in out
    status, _, err = answered(capsys, "report", "launch", *where, "--json")
    assert status == 1, err
    facts = bench.facts("launch")
    mine = next(each for each in facts["tests"] if each["test"] == "launch.orders.load")
    assert [each["declared"] for each in mine["impact"]["roots"]] == ["assumptions[ordering-share]"]
    page = (bench.home / "reports" / "launch" / "report.html").read_text()
    assert "assumptions[ordering-share].value" in page

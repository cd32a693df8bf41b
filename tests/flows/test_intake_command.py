"""`plimsoll intake`: submitted files become evidence of a planned test, or nothing changes at all."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from catalog.ledger import Kind
from catalog.template import write_template
from catalog.verification import verify
from catalog.workspace import Workspace
from flows.cli import main
from tasks.parquet import read_table

TEST = "pilot.orders.load"
START = 1_795_480_000_000
HEAD = "timeStamp,elapsed,label,responseCode,threadName,success,bytes,allThreads\n"

MANIFEST = """
test: pilot.orders.load
submitted_by: {name: A. Tester, organisation: Orders Ltd}
submitted_at: "2026-11-24"
tool: {name: JMeter, version: "5.6.3"}
components:
  orders: {version: "1.0"}
environment: {id: orders-uat, size: two nodes}
clock: {timezone: UTC, synchronised: NTP}
"""


@pytest.fixture(autouse=True)
def own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PLIMSOLL_ACTOR", "tester")


@pytest.fixture
def bench(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> "Any":
    write_template(tmp_path / "shop")
    return Bench(tmp_path, capsys)


class Bench:
    """A programme, a workspace, submitted files, and the command in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.home = folder / "home"
        self._capsys = capsys

    def file(self, name: str, data: str | bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def manifest(self, text: str = MANIFEST) -> Path:
        return self.file("manifest.yaml", text)

    def run(self, *arguments: object) -> tuple[int, str, str]:
        where = ("--catalog", self.folder / "shop", "--home", self.home)
        status = main([str(each) for each in (*arguments, *where)])
        told = self._capsys.readouterr()
        return status, told.out, told.err

    def intake(self, *files: Path, test: str = TEST, manifest: Path | None = None) -> tuple[int, Any]:
        status, out, err = self.run(
            "intake", *files, "--test", test, "--manifest", manifest or self.manifest(), "--json"
        )
        assert status == 0, out + err
        return status, json.loads(out)

    def decisions(self) -> dict[str, Any]:
        _, out, _ = self.run("plan", "pilot", "--json")
        return {each["test"]: each for each in json.loads(out)["tests"]}

    @property
    def workspace(self) -> Workspace:
        return Workspace.open(self.home)


def jtl(count: int = 50, *, failing: int = 0, apart: int = 20, start: int = START) -> str:
    rows = (
        f"{start + number * apart},{10 + number % 7},order,{500 if number < failing else 200},T 1-{number % 5},"
        f"{'false' if number < failing else 'true'},100,5"
        for number in range(count)
    )
    return HEAD + "\n".join(rows) + "\n"


def test_results_are_received_for_a_planned_test_which_then_counts_as_complete(bench: Bench) -> None:
    file = bench.file("results.jtl", jtl(50, failing=2))
    assert bench.decisions()[TEST]["decision"] == "execute"
    _, answer = bench.intake(file)
    assert {name: answer[name] for name in ("test", "format", "samples", "skipped")} == {
        "test": TEST,
        "format": "jmeter-csv",
        "samples": 50,
        "skipped": 0,
    }
    (record,) = bench.workspace.select(Kind.RECEIVED)
    assert record.digest == answer["evidence"]
    assert bench.workspace.store.get(record.output("original 1") or "") == file.read_bytes()
    rows = read_table("results", bench.workspace.store.path(record.output("results") or ""))
    assert rows["service_us"].tolist() == [(10 + number % 7) * 1000 for number in range(50)]
    assert rows["intended_us"].isna().all()
    assert rows["sequence"].tolist() == list(range(50))
    assert rows["outcome"].tolist() == ["error"] * 2 + ["ok"] * 48
    assert len(read_table("infrastructure", bench.workspace.store.path(record.output("infrastructure") or ""))) == 0
    decided = bench.decisions()[TEST]
    assert decided["decision"] == "complete"
    assert "received" in decided["why"]
    outcome = verify(bench.home)
    assert outcome.ok, outcome.faults


def test_the_same_files_again_record_nothing_and_other_files_are_a_second_run(bench: Bench) -> None:
    file = bench.file("results.jtl", jtl())
    _, first = bench.intake(file)
    _, again = bench.intake(file)
    assert (again["already"], again["evidence"]) == (True, first["evidence"])
    assert len(bench.workspace.select(Kind.RECEIVED)) == 1
    _, other = bench.intake(bench.file("other.jtl", jtl(60)))
    assert other["run"].endswith("/2")
    document = bench.workspace.store.document(bench.workspace.select(Kind.RECEIVED)[-1].output("run") or "")
    assert document["level_index"] == 2
    assert document["received"]["evidence"] == "received, jmeter, closed loop, latency from sent time"


def test_a_changed_plan_is_not_met_by_what_was_received_for_the_old_one(bench: Bench) -> None:
    bench.intake(bench.file("results.jtl", jtl()))
    system = bench.folder / "shop" / "system.yaml"
    system.write_text(system.read_text().replace("version: ", "version: 9-"))
    decided = bench.decisions()[TEST]
    assert decided["decision"] == "execute"
    assert "changed since" in decided["why"]


def test_a_summary_is_no_results_and_its_figures_keep_their_method(bench: Bench) -> None:
    stats = (Path(__file__).parents[1] / "tasks/intake/samples/locust_stats.csv").read_bytes()
    _, answer = bench.intake(bench.file("stats.csv", stats))
    assert answer["samples"] == 0
    (record,) = bench.workspace.select(Kind.RECEIVED)
    assert record.output("results") is None
    document = bench.workspace.store.document(record.output("run") or "")
    assert document["received"]["capability"]["gives"] == "summary"
    assert "the tool's own figures only" in document["received"]["evidence"]
    assert verify(bench.home).ok
    assert bench.decisions()[TEST]["decision"] == "complete"


def test_several_files_of_one_run_and_its_infrastructure_are_one_record(bench: Bench) -> None:
    one, two = bench.file("a.jtl", jtl(30)), bench.file("b.jtl", jtl(30, start=START + 7))
    sadf = "# hostname;interval;timestamp;CPU;%user;%idle\nweb1;1;2026-11-24 00:26:40 UTC;-1;10.00;80.25\n"
    manifest = bench.manifest(MANIFEST + "hosts: {web1: storefront}\nlabels: {order: {srv: place-order}}\n")
    _, answer = bench.intake(one, two, bench.file("cpu.csv", sadf), manifest=manifest)
    assert answer["format"] == "jmeter-csv, sadf"
    assert answer["samples"] == 60
    (record,) = bench.workspace.select(Kind.RECEIVED)
    rows = read_table("results", bench.workspace.store.path(record.output("results") or ""))
    assert rows["sent_us"].is_monotonic_increasing
    assert set(rows["srv"]) == {"place-order"}
    found = read_table("infrastructure", bench.workspace.store.path(record.output("infrastructure") or ""))
    assert {(row.component, row.metric): row.value for row in found.itertuples()}["storefront", "cpu_permille"] == 198
    assert "overlap" in {each["code"] for each in answer["findings"]}


def test_what_is_odd_is_a_finding_and_changes_nothing(bench: Bench) -> None:
    rows = jtl(40).splitlines()[1:]
    odd = HEAD + "\n".join([*rows, *rows]) + "\n" + jtl(1, start=START + 10**6).splitlines()[1] + "\n"
    _, answer = bench.intake(bench.file("results.jtl", odd))
    codes = {each["code"] for each in answer["findings"]}
    assert {"duplicates", "gap", "load-below-plan", "labels"} <= codes
    assert answer["samples"] == 81
    _, other = bench.intake(bench.file("same.jtl", odd), test="pilot.orders.soak",
                            manifest=bench.manifest(MANIFEST.replace(TEST, "pilot.orders.soak")))  # fmt: skip
    assert "submitted-twice" in {each["code"] for each in other["findings"]}


def test_constant_latencies_and_impossible_rates_and_clocks_are_told(bench: Bench) -> None:
    same = HEAD + "".join(f"{START + number},90,a,200,T {number},true,1,2\n" for number in range(100))
    _, answer = bench.intake(bench.file("same.jtl", same))
    assert {"constant-latency", "impossible-rate"} <= {each["code"] for each in answer["findings"]}
    back = jtl(40, start=START + 10**7) + jtl(40).partition("\n")[2]
    _, answer = bench.intake(bench.file("back.jtl", back))
    assert "clock-jump" in {each["code"] for each in answer["findings"]}


@pytest.mark.parametrize("kind", ["gz", "zip"])
def test_archives_are_read_in_place_and_kept_as_they_were_submitted(bench: Bench, kind: str) -> None:
    if kind == "gz":
        file = bench.file("results.jtl.gz", gzip.compress(jtl().encode()))
    else:
        file = bench.folder / "results.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("run/results.jtl", jtl())
    _, answer = bench.intake(file)
    assert answer["samples"] == 50
    (record,) = bench.workspace.select(Kind.RECEIVED)
    assert bench.workspace.store.get(record.output("original 1") or "") == file.read_bytes()


def refused(bench: Bench, *arguments: object, says: str) -> None:
    before = sorted(bench.home.rglob("*")) if bench.home.exists() else []
    status, out, err = bench.run("intake", *arguments)
    assert status == 2, out + err
    assert says in err
    assert "Traceback" not in err
    after = sorted(bench.home.rglob("*")) if bench.home.exists() else []
    lasting = [path for path in after if path.is_file() and path.name not in ("plimsoll.json", "run.lock")]
    assert lasting == [path for path in before if path.is_file() and path.name not in ("plimsoll.json", "run.lock")]


def test_what_cannot_be_received_is_refused_and_nothing_is_recorded(bench: Bench) -> None:
    good, manifest = bench.file("results.jtl", jtl()), bench.manifest()
    refused(bench, good, "--test", TEST, says="with a manifest only")
    refused(bench, good, says="nothing was asked for")
    asked = ("--test", TEST, "--manifest", manifest)
    refused(bench, bench.file("what.bin", b"\x01\x02\x03 what"), *asked, says="no format is known")
    refused(bench, bench.file("empty.csv", b""), *asked, says="an empty file")
    refused(bench, bench.folder / "missing.jtl", *asked, says="expected a file")
    wrong = bench.manifest(MANIFEST.replace(TEST, "pilot.orders.lod"))
    refused(bench, good, "--test", "pilot.orders.lod", "--manifest", wrong, says="plans no test")
    refused(bench, good, "--test", TEST, "--manifest", bench.manifest("test: x\n"), says="manifest.yaml:1:1")
    wrong = bench.manifest(MANIFEST + "assumptions: {value_unit: days}\n")
    refused(bench, good, "--test", TEST, "--manifest", wrong, says="expected ns, us, ms, s")
    other = MANIFEST.replace(TEST, "pilot.orders.soak")
    refused(bench, good, "--test", TEST, "--manifest", bench.manifest(other), says="the manifest is for")
    only = bench.file("only.csv", "# hostname;interval;timestamp;CPU;%idle\nh;1;2026-11-24 00:35:00 UTC;-1;80.25\n")
    refused(bench, only, "--test", TEST, "--manifest", bench.manifest(), says="how messages fared")
    escaping = bench.folder / "out.zip"
    with zipfile.ZipFile(escaping, "w") as archive:
        archive.writestr("../results.jtl", jtl())
    refused(bench, escaping, "--test", TEST, "--manifest", bench.manifest(), says="leads out of the archive")
    bomb = bench.file("bomb.gz", gzip.compress(b"a" * (80 << 20)))
    refused(bench, bomb, "--test", TEST, "--manifest", bench.manifest(), says="unfolds into more")


def test_a_tools_own_report_is_shown_beside_ours_with_the_reason_where_they_differ(bench: Bench) -> None:
    rows = "".join(f"{START + number},{number + 1},a,200,T 1,true,1,2\n" for number in range(100))
    file = bench.file("results.jtl", HEAD + rows)
    told = {"transaction": "a", "sampleCount": 100, "errorCount": 0, "meanResTime": 50.5, "minResTime": 1.0,
            "maxResTime": 100.0, "pct1ResTime": 90.9, "pct2ResTime": 95.95, "pct3ResTime": 99.0}  # fmt: skip
    report = bench.file("statistics.json", json.dumps({"Total": told, "a": told}))
    status, out, err = bench.run("intake", file, "--compare", report, "--json")
    assert status == 0, err
    found = {(each["scope"], each["metric"]): each for each in json.loads(out)["compared"]}
    assert found["all", "requests"]["why"] == ""
    assert (found["a", "service-p95"]["theirs"], found["a", "service-p95"]["ours"]) == (95_950, 95_000)
    assert "last 20,000 samples" in found["a", "service-p95"]["why"]
    assert found["a", "service-p99"]["ours"] == found["a", "service-p99"]["theirs"] == 99_000
    assert not bench.home.exists()
    status, out, _ = bench.run("intake", file, "--compare", report)
    assert "The tool's own report beside ours" in out


def test_a_person_is_told_what_became_of_every_line(bench: Bench) -> None:
    file = bench.file("results.jtl", jtl(5) + "broken\n")
    status, out, err = bench.run("intake", file, "--test", TEST, "--manifest", bench.manifest())
    assert status == 0, err
    assert "5 messages, 1 skipped" in out
    assert "expected 8 columns (7)" in out

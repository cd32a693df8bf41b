"""`plimsoll intake`: submitted files become evidence of a planned test, or nothing changes at all."""

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard

from catalog.ledger import Kind
from catalog.verification import verify
from catalog.workspace import Workspace
from flows.cli import main
from tasks.parquet import read_table
from tests.shops import write_shop

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
    write_shop(tmp_path / "shop")
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


@pytest.mark.parametrize("kind", ["gz", "zip", "zst"])
def test_archives_are_read_in_place_and_kept_as_they_were_submitted(bench: Bench, kind: str) -> None:
    if kind == "gz":
        file = bench.file("results.jtl.gz", gzip.compress(jtl().encode()))
    elif kind == "zst":
        file = bench.file("results.jtl.zst", zstandard.ZstdCompressor().compress(jtl().encode()))
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


def codes(answer: Any) -> set[str]:
    return {each["code"] for each in answer["findings"]}


def test_rows_that_had_to_be_mended_make_no_clock_jump_and_generators_count_their_own_threads(bench: Bench) -> None:
    rows = jtl(40, apart=10_000).splitlines()
    rows[3] = rows[3].replace("order", "ordr")
    data = "\n".join(rows).encode().replace(b"ordr", b"ord\xe9r") + b"\n"
    _, answer = bench.intake(bench.file("foreign.jtl", data))
    assert "encoding" in codes(answer)
    assert not codes(answer) & {"clock-jump", "impossible-rate"}
    busy = HEAD + "".join(f"{START + 50 * number},{90 + number % 7},a,200,T,true,1,2\n" for number in range(40))
    parts = [bench.file(f"{name}.jtl", busy.replace(",a,", f",{name},")) for name in "bc"]
    _, answer = bench.intake(*parts)  # two threads each, and never more than two of them are busy
    assert "impossible-rate" not in codes(answer)
    busier = "".join(f"{START + 50 * number},{190 + number % 7},d,200,T,true,1,2\n" for number in range(40))
    _, answer = bench.intake(parts[0], bench.file("d.jtl", HEAD + busier))
    (message,) = (each["message"] for each in answer["findings"] if each["code"] == "impossible-rate")
    assert message.startswith("file 2: 2 threads cannot wait 7.")


def test_appended_runs_are_told_and_their_rows_stand(bench: Bench) -> None:
    _, answer = bench.intake(bench.file("twice.jtl", jtl(20) + jtl(20, start=START + 3000)))
    assert answer["samples"] == 40
    (message,) = (each["message"] for each in answer["findings"] if each["code"] == "appended")
    assert message == "twice.jtl: 2 headers: as many runs, one appended to the other"


def test_the_same_results_are_known_again_packed_anew_and_with_another_manifest(bench: Bench) -> None:
    bench.intake(bench.file("results.jtl", jtl()))
    _, packed = bench.intake(
        bench.file("other.gz", gzip.compress(jtl().encode())),
        test="pilot.orders.soak",
        manifest=bench.manifest(MANIFEST.replace(TEST, "pilot.orders.soak")),
    )
    (message,) = (each["message"] for each in packed["findings"] if each["code"] == "submitted-twice")
    assert message.startswith(f"other was received for {TEST} too")
    _, again = bench.intake(bench.folder / "results.jtl", manifest=bench.manifest(MANIFEST + "notes: once more\n"))
    said = [each["message"] for each in again["findings"] if each["code"] == "submitted-twice"]
    assert any("for this test before, with another manifest" in each for each in said)
    assert again["run"].endswith("/2")


def test_a_summary_below_the_plan_or_of_unknown_age_is_told(bench: Bench) -> None:
    stats = (Path(__file__).parents[1] / "tasks/intake/samples/siege-4.0.7.json").read_bytes()
    _, answer = bench.intake(bench.file("siege.json", stats))
    assert {"load-below-plan", "age-not-known"} <= codes(answer)
    old = bench.manifest(MANIFEST + 'window: {start: "2020-05-01T09:00:00Z", end: "2020-05-01T10:00:00Z"}\n')
    _, answer = bench.intake(bench.folder / "siege.json", manifest=old)
    (message,) = (each["message"] for each in answer["findings"] if each["code"] == "older-than-plan")
    assert "the results end at 2020-05-01 10:00:00 UTC" in message


def test_results_of_a_tool_that_counts_from_its_start_are_placed_by_the_manifests_window(bench: Bench) -> None:
    hey = (Path(__file__).parents[1] / "tasks/intake/samples/hey-0.1.4.csv").read_bytes()
    file = bench.file("hey.csv", hey)
    refused(bench, file, "--test", TEST, "--manifest", bench.manifest(), says="nothing says when that was")
    window = bench.manifest(MANIFEST + 'window: {start: "2026-11-25T09:07:50Z", end: "2026-11-25T09:07:51Z"}\n')
    _, answer = bench.intake(file, manifest=window)
    assert (answer["format"], answer["samples"]) == ("hey", 60)


def test_archives_may_unfold_to_so_much_in_all_and_every_path_must_name_something(bench: Bench) -> None:
    asked = ("--test", TEST, "--manifest", bench.manifest())
    many = bench.folder / "many.zip"
    with zipfile.ZipFile(many, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"{number}.csv", b"a" * (30 << 20))
    refused(bench, many, *asked, says="unfolds into more than")
    for name in (".", "C:/x.jtl", "/x.jtl"):
        with zipfile.ZipFile(many, "w") as archive:
            archive.writestr(name, jtl())
        refused(bench, many, *asked, says="leads out of the archive")


def test_counts_that_differ_are_explained_by_what_is_no_message(bench: Bench) -> None:
    within = "Number of samples in transaction : 2, number of failing samples : 0"
    head = "timeStamp,elapsed,label,responseCode,responseMessage,threadName,success\n"
    rows = f'{START},5,a,200,OK,T 1,true\n{START + 5},5,a,200,OK,T 1,true\n{START},10,J,200,"{within}",T 1,true\n'
    told = {"sampleCount": 3, "errorCount": 0, "meanResTime": 6.66, "pct1ResTime": 10.0}
    report = bench.file("statistics.json", json.dumps({"Total": told}))
    status, out, err = bench.run("intake", bench.file("r.jtl", head + rows), "--compare", report, "--json")
    assert status == 0, err
    found = {each["metric"]: each["why"] for each in json.loads(out)["compared"]}
    assert found["requests"] == (
        "theirs: counted by the tool; ours: every message once; not counted: 1 of a transaction controller: its "
        "samples are counted"
    )


def test_gatlings_statistics_are_compared_with_its_log(bench: Bench) -> None:
    lines = ["RUN\tcd.Basic\tbasic\t1795480000000\t \t3.11.5"]
    lines += [
        f"REQUEST\t\tn\t{START + each}\t{START + each * 2}\t{'KO' if each == 1 else 'OK'}\t " for each in (1, 2, 3)
    ]
    stats = {"name": "n", "numberOfRequests": {"total": "3", "ok": "2", "ko": "1"}, "percentiles1": {"total": 2},
             "percentiles4": {"total": "-"}, "maxResponseTime": {"total": 4}}  # fmt: skip
    report = {"type": "GROUP", "name": "All Requests", "stats": stats,
              "contents": {"req": {"type": "REQUEST", "name": "n", "stats": stats},
                           "g": {"type": "GROUP", "name": "g", "stats": stats, "contents": {}}}}  # fmt: skip
    files = (bench.file("simulation.log", "\n".join(lines) + "\n"), "--compare",
             bench.file("stats.json", json.dumps(report)))  # fmt: skip
    status, out, err = bench.run("intake", *files, "--json")
    assert status == 0, err
    found = {(each["scope"], each["metric"]): each for each in json.loads(out)["compared"]}
    assert found.keys() == {
        (scope, metric)
        for scope in ("all", "n")
        for metric in ("requests", "failures", "answered-share", "service-p50", "service-max")
    }
    assert found["n", "requests"]["why"] == found["all", "failures"]["why"] == found["n", "service-p50"]["why"] == ""
    assert "Gatling's own" in found["n", "service-max"]["why"]


def test_what_is_stated_is_held_against_the_plan_and_what_is_not_is_told(bench: Bench) -> None:
    other = MANIFEST.replace('version: "1.0"', 'version: "0.9", solution: Order House Classic')
    other += 'window: {start: "2026-11-24T00:26:40Z", end: "2026-11-24T00:26:41Z"}\n'
    _, answer = bench.intake(bench.file("results.jtl", jtl(60)), manifest=bench.manifest(other))
    said = {code: [each["message"] for each in answer["findings"] if each["code"] == code] for code in codes(answer)}
    assert said["not-as-planned"] == [
        "environment id: rehearsal was planned, orders-uat is stated",
        "environment size: One process per component on this machine was planned, two nodes is stated",
        "component orders version: 1.0 was planned, 0.9 is stated",
    ]
    assert said["not-stated"] == ["whether these were as planned is not stated: environment kind"]
    (outside,) = said["outside-window"]
    assert outside.startswith("9 of 60 messages were sent outside the window")  # 51 of them in the first second


def test_received_evidence_is_never_relied_on_and_the_plan_names_every_input_that_nobody_can_compare(
    bench: Bench,
) -> None:
    """Not even where all that a manifest can state is as planned."""
    size = "One process per component on this machine"
    stated = MANIFEST.replace("{id: orders-uat, size: two nodes}", f"{{id: rehearsal, kind: rehearsal, size: {size}}}")
    stated = stated.replace('version: "1.0"', 'version: "1.0", solution: Order House Classic')
    stated += "assumptions: {time_unit: us, columns: {sent: sent, done: done, intended: due, label: srv}}\n"
    due = [START * 1000 + 12_000 * number for number in range(600)]
    rows = "".join(f"{at},{at + 9_000 + at % 7},{at},place-order\n" for at in due)
    _, answer = bench.intake(bench.file("own.csv", f"sent,done,due,srv\n{rows}"), manifest=bench.manifest(stated))
    assert not codes(answer) & {"not-as-planned", "not-stated", "load-below-plan"}
    _, out, _ = bench.run("plan", "launch", "--json")
    decided = next(each for each in json.loads(out)["tests"] if each["test"] == "launch.orders.load")
    assert decided["decision"] == "execute"
    reasons = {each["input"]: (each["old"], each["new"]) for each in decided["reasons"]}
    assert reasons["key stage"] == ("intake", "execute")
    assert {"arrivals", "injector", "factors", "manifest"} <= reasons.keys()
    assert not {"components.orders.version", "components.orders.solution", "environment.size"} & reasons.keys()


def test_as_many_messages_over_a_longer_time_are_a_smaller_load(bench: Bench) -> None:
    """Planned are 500 within 6 s; here come 600, ten a second."""
    from tasks.measure import measure

    _, answer = bench.intake(bench.file("slow.jtl", jtl(600, apart=100)))
    (said,) = (each["message"] for each in answer["findings"] if each["code"] == "load-below-plan")
    assert said == "at most 61 messages were sent within 6 s, where 500 were planned"  # in 6.06 s
    (record,) = bench.workspace.select(Kind.RECEIVED)
    store = bench.workspace.store
    files = [store.path(record.output(name) or "") for name in ("results", "infrastructure")]
    table = measure(store.document(record.output("run") or ""), *files, withins=(), groups={})
    offered = table.query("scope == 'all' and metric == 'offered'").iloc[0]
    assert (offered["value"], offered["lower"], offered["upper"]) == (61, 61, 61)
    assert offered["method"] == "the most messages sent within the planned 6 s, of 600 in all"
    _, fast = bench.intake(bench.file("fast.jtl", jtl(600, apart=10)))
    assert "load-below-plan" not in codes(fast)


def test_a_summary_has_to_be_told_when_it_was_made_to_show_any_load(bench: Bench) -> None:
    stats = (Path(__file__).parents[1] / "tasks/intake/samples/wrk-4.1.0.txt").read_bytes()
    file = bench.file("wrk.txt", stats)  # 1,395 requests
    known = MANIFEST + 'window: {start: "2026-11-25T09:07:50Z", end: "END"}\n'
    said = []
    for end in ("", "2026-11-25T09:07:52Z", "2026-11-25T09:09:50Z"):
        manifest = known.replace("END", end) if end else MANIFEST
        _, answer = bench.intake(file, manifest=bench.manifest(manifest))
        said.append([each["message"] for each in answer["findings"] if each["code"] == "load-below-plan"])
    assert said == [
        ["nothing tells in which time they were sent: whether the load planned for 6 s was is not known"],
        [],
        ["at most 69 messages were sent within 6 s, where 500 were planned"],  # 1,395 in two minutes
    ]

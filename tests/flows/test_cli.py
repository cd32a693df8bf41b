"""The command line: what it answers, how it ends, how it refuses; in this process, so that its rooms are measured."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from phases import PREFECT

from catalog.errors import WorldError
from catalog.ledger import Kind
from catalog.workspace import Workspace
from flows.cli import main
from flows.desk import open_desk
from flows.report import write_copy
from flows.stages import choose, declare, derive_volumes, plan, refuse_without_room
from tasks.plan import most_offered
from tests.shops import write_shop


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    write_shop(tmp_path / "shop")
    return tmp_path / "shop"


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command."""
    status = main([str(each) for each in arguments])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_every_command_has_help_and_a_page_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    commands = re.findall(r"^    (\w+)(?: |$)", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) == 24, commands
    root = Path(__file__).parents[2]
    pages = "".join(page.read_text() for page in [root / "README.md", *(root / "docs").rglob("*.md")])
    for command in commands:
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert len(capsys.readouterr().out) > 100
        assert f"plimsoll {command}" in pages, command


def test_init_writes_a_programme_that_check_accepts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new"
    assert answered(capsys, "init", folder)[0] == 0
    status, out, _ = answered(capsys, "check", "--catalog", folder)
    assert (status, "no faults" in out) == (0, True)
    assert json.loads(answered(capsys, "check", "--catalog", folder, "--json")[1]) == {
        "phases": ["launch"],
        "faults": [],
    }
    status, _, err = answered(capsys, "init", folder)
    assert status == 2
    assert "not an empty folder" in err


def test_the_environment_names_the_programme_where_the_command_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shop(tmp_path / "shop")
    monkeypatch.setenv("PLIMSOLL_CATALOG", str(tmp_path / "shop"))
    assert main(["check"]) == 0
    assert "Web shop" in capsys.readouterr().out
    assert main(["check", "--catalog", str(tmp_path)]) == 2
    monkeypatch.delenv("PLIMSOLL_CATALOG")
    assert main(["check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["phases"] == ["ioc", "moc", "foc"]


def test_a_broken_catalogue_changes_nothing_and_every_fault_is_told(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = shop / "tests.yaml"
    tests.write_text(
        tests.read_text().replace("provider: shop-team", "provider: shop-taem").replace("blocks: 40", "blocks: 4")
    )
    home = tmp_path / "home"
    for command in (
        ["check"],
        ["volumes", "pilot"],
        ["plan", "pilot", "--home", home],
        ["run", "pilot", "--home", home],
    ):
        status, out, err = answered(capsys, *command, "--catalog", shop)
        assert status == 2
        assert out == ""
        assert err.count("expected 30 or more; found 4") == 3
        assert re.search(r"tests\.yaml:\d+:\d+: ", err)
        assert "^" in err
        assert "Traceback" not in err
    assert not home.exists()
    faults = json.loads(answered(capsys, "check", "--catalog", shop, "--json")[1])["faults"]
    assert {frozenset(fault) for fault in faults} == {frozenset({"file", "line", "column", "code", "message", "hint"})}


def test_volumes_are_shown_and_given_as_json(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = answered(capsys, "volumes", "launch", "--catalog", shop)
    assert status == 0
    assert "storefront" in out
    assert "a second, window average" in out
    rows = json.loads(answered(capsys, "volumes", "launch", "--catalog", shop, "--json")[1])["volumes"]
    assert sum(row["messages"] for row in rows if row["component"] == "storefront" and row["kind"] == "request") > 0


def test_plan_and_explain_answer_before_anything_ran(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--catalog", shop, "--home", tmp_path / "home")
    status, out, _ = answered(capsys, "plan", "pilot", *where)
    assert (status, out.count("execute ")) == (0, 6)
    tests = json.loads(answered(capsys, "plan", "pilot", *where, "--json")[1])["tests"]
    assert [set(test) >= {"test", "component", "type", "decision", "reasons"} for test in tests] == [True] * 6
    status, out, err = answered(capsys, "explain", "pilot.orders.load", *where)
    assert status == 0
    assert "none recorded" in out
    assert "there is no workspace at" in err
    explained = json.loads(answered(capsys, "explain", "pilot.orders.load", *where, "--json")[1])
    assert explained["decision"] == "execute"
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["plan", "harvest"], 2, "Its phases are: pilot, launch."),
        (["plan", "pilot", "--environment", "moon"], 2, "Declared are: rehearsal"),
        (["explain", "pilot.orders.swim"], 2, "plans no test 'pilot.orders.swim'"),
        (["run", "pilot", "--types", "load,swim"], 2, "no such type of test: swim"),
        (
            ["run", "pilot", "--tests", "pilot.orders.*,pilot.nobody.*"],
            2,
            "plans no test that matches 'pilot.nobody.*'",
        ),
        (["explain", "pilot.orders.laod"], 2, "Did you mean 'pilot.orders.load'?"),
        (["run", "pilot", "--again", "pilot.orders.load"], 2, "only for a reason"),
        (["run", "pilot", "--again", "pilot.orders.lod", "--reason", "x"], 2, "Did you mean 'pilot.orders.load'?"),
    ],
)
def test_what_does_not_exist_is_refused_with_what_does(
    arguments: list[str], status: int, told: str, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ended, out, err = answered(capsys, *arguments, "--catalog", shop, "--home", tmp_path / "home")
    assert (ended, out) == (status, "")
    assert told in err
    assert "starting" not in err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["serve", "--port", "99999999"],
        ["serve", "--port", "-1"],
        ["run", "pilot", "--shards", "-3"],
        ["run", "pilot", "--shards", "1.5"],
    ],
)
def test_numbers_out_of_bounds_are_refused_before_anything_begins(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert f"expected a whole number from {'1 to 65535' if 'serve' in arguments else '0 to 999999'}, found" in (
        capsys.readouterr().err
    )


def test_a_test_of_any_size_is_planned_and_refused_only_where_it_would_be_executed_without_room(
    shop: Path, tmp_path: Path
) -> None:
    """Whoever reads a plan needs no memory for it; what the machine lacks that would execute it is told in numbers."""
    environments = shop / "environments.yaml"
    environments.write_text(environments.read_text().replace("orders: 25", "orders: 10000").replace("6 s", "4 h"))
    with open_desk("pilot", catalog=shop, home=tmp_path / "home") as desk:
        derived = derive_volumes(desk, declare(desk))
        _, decided = plan(desk, declare(desk), derived, {})
        doing = choose(decided, ["load"], ["pilot.orders.*"], execute=True)
        assert most_offered(doing[0].planned) == 480_000_000
        with pytest.raises(WorldError, match=r"orders\.load would offer 480,000,000 messages.* about [0-9,]+"):
            refuse_without_room(desk, doing)
        refuse_without_room(desk, choose(decided, ["stress"], ["pilot.storefront.*"], execute=True))


def test_errors_are_json_where_json_was_asked_for(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = answered(capsys, "plan", "harvest", "--catalog", shop, "--home", tmp_path, "--json")
    assert status == json.loads(out)["status"] == 2


def test_verify_and_lineage_need_a_workspace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["verify", tmp_path / "none"], ["lineage", "outcome/proved", "--home", tmp_path / "none"]):
        status, _, err = answered(capsys, *arguments)
        assert status == 2
        assert "no workspace" in err


def commands_with_home(shop: Path, home: Path) -> list[list[object]]:
    where = ["--catalog", shop, "--home", home]
    mine: list[list[object]] = [
        ["plan", "pilot", *where],
        ["explain", "pilot.orders.load", *where],
        ["run", "pilot", *where],
        ["report", "pilot", *where],
        ["lineage", "outcome/proved", "--home", home],
        ["verify", home],
        ["reperform", home],
        ["export", "pilot", "--home", home, "--out", home.parent / "bundle.zip"],
        ["withdraw", "1", "--home", home, "--reason", "x"],
    ]
    return mine


@pytest.mark.parametrize(("kind", "told"), [
    ("file", "is no folder"), ("loop", "is no folder"), ("dangling", "is a link to what does not exist"),
    ("below a file", "is no folder"), ("other things", "is a folder of other things, and no workspace"),
])  # fmt: skip
def test_what_can_be_no_workspace_is_refused_by_every_command(
    kind: str, told: str, shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    if kind == "file":
        home.touch()
    elif kind == "other things":
        home.mkdir()
        (home / "holiday.jpg").touch()
    elif kind == "below a file":
        home = shop / "tests.yaml" / "home"
    else:
        home.symlink_to(home if kind == "loop" else tmp_path / "nothing")
    for command in commands_with_home(shop, home):
        status, out, err = answered(capsys, *command)
        assert (status, out) == (2, ""), command
        assert told in err
        assert "--home" in err


def test_verify_says_the_same_of_an_empty_folder_and_of_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = answered(capsys, "verify", tmp_path / "home")
    (tmp_path / "home").mkdir()
    assert answered(capsys, "verify", tmp_path / "home") == missing
    assert missing[0] == 2


def test_a_fault_of_verify_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "home" / "ledger").mkdir(parents=True)
    (tmp_path / "home" / "plimsoll.json").write_text('{"format":1}\n')
    (tmp_path / "home" / "ledger" / ("x" * 200)).touch()
    status, out, _ = answered(capsys, "verify", tmp_path / "home")
    assert status == 4
    assert f"✘ ledger/{'x' * 200}: a file that does not belong in the ledger" in out.splitlines()
    assert "✘ 1 fault:" in out


def test_a_workspace_of_a_newer_version_is_refused(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "plimsoll.json").write_text('{"format":2}\n')
    for arguments in (["run", "pilot", "--catalog", shop], ["plan", "pilot", "--catalog", shop], ["lineage", "x" * 9]):
        status, _, err = answered(capsys, *arguments, "--home", home)
        assert status == 4
        assert "format 2" in err
        assert "Upgrade" in err


@pytest.mark.parametrize("occasion", ["../launch", "launch"])
def test_a_regression_without_a_proper_occasion_begins_nothing(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], occasion: str
) -> None:
    home = tmp_path / "home"
    status, _, err = answered(capsys, "regression", "--catalog", shop, "--home", home, "--occasion", occasion)
    assert (status, "regression-2026-01-31" in err) == (2, True)
    assert not home.exists()


@pytest.mark.end_to_end
def test_a_phase_in_this_process(
    shop: Path,
    tmp_path: Path,
    surroundings: dict[str, str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One load test of each component, the way from the command line to the report, and what auditors then ask."""
    for name, value in {"XDG_CONFIG_HOME": tmp_path / "config", "PREFECT_HOME": tmp_path / "prefect"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)
    home = Path("home")  # relative, as the default is
    where = ("--catalog", shop, "--home", home)
    status, out, err = answered(capsys, "run", "pilot", *where, "--tests", "*.load")
    assert status == 1, err  # the other tests are not run, and said to be
    assert "not run" in out
    assert "2 of 2" in err
    first = json.loads(answered(capsys, "run", "pilot", *where, "--tests", "*.load", "--json")[1])
    doubtful = set(re.findall(r"inconclusive +(pilot\.\S+) ", out))  # such as one whose sampling was starved
    assert first["executed"] == len(doubtful), out
    assert first["ends"] == {"executed": 2, "not run": 4}
    shown = json.loads(answered(capsys, "verify", home, "--json")[1])
    assert (shown["ok"], shown["freshness"]) == (True, "not proven")
    status, out, _ = answered(capsys, "verify", home, "--head", shown["head"])
    assert (status, "freshness proven" in out) == (0, True)
    assert_lineage_answers(capsys, home)
    assert_reports_are_copied_and_compared(capsys, home)
    for name in PREFECT:  # the first run served its own
        monkeypatch.setenv(name, surroundings[name])
    assert_again_executes_anew(capsys, where)
    assert_damage_is_named(capsys, home)


def assert_lineage_answers(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    status, out, _ = answered(capsys, "lineage", "outcome/proved", "--home", home, "--phase", "pilot")
    assert status == 0
    assert "executed by execute" in out
    tree: Any = json.loads(answered(capsys, "lineage", "outcome/proved", "--home", home, "--json")[1])["trees"][0]
    assert tree[0]["depth"] == 0
    status, out, _ = answered(capsys, "lineage", tree[-1]["digest"], "--down", "--home", home)
    assert status == 0
    assert answered(capsys, "lineage", "outcome/proved", "--home", home, "--phase", "launch")[0] == 2


def assert_reports_are_copied_and_compared(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    workspace = Workspace.open(home)
    reported = workspace.select(Kind.REPORTED, phase="pilot")[-1]
    begins = {"html": b"<!doctype html>", "json": b"{", "pdf": b"%PDF-", "docx": b"PK"}
    for kind, begin in begins.items():
        assert write_copy(workspace, reported, kind, home.parent / f"copy.{kind}").read_bytes().startswith(begin)
    runs = ("pilot/pilot.orders.load/1", "pilot/pilot.storefront.load/1")
    compare, page = ("report", "--home", home, "--out", "page.html", "--compare"), home.parent / "page.html"
    status, out, _ = answered(capsys, *compare, *runs)
    assert (status, "observations that both sides have" in out) == (0, True)
    assert "REHEARSAL" in page.read_text()
    assert json.loads(answered(capsys, *compare, "pilot", "pilot", "--json")[1])["page"] == "page.html"
    status, _, err = answered(capsys, *compare, "pilot", "pilto")
    assert (status, "did you mean 'pilot'?" in err) == (2, True)
    status, _, err = answered(capsys, *compare, "pilot", "nowhere/near")
    assert (status, "neither a phase nor a run" in err) == (2, True)
    assert answered(capsys, *compare, *runs, "--format", "pdf")[0] == 2
    assert answered(capsys, *compare, *runs, "--format", "json")[0] == 0
    assert json.loads(page.read_text())["sections"]
    assert answered(capsys, "report", "--home", home)[0] == 2


def assert_again_executes_anew(capsys: pytest.CaptureFixture[str], where: tuple[object, ...]) -> None:
    again = "pilot.orders.load"
    asked = ("run", "pilot", *where, "--tests", again, "--again", again, "--reason", "a doubt")
    status, out, _ = answered(capsys, *asked, "--json")
    assert status == 1
    assert json.loads(out)["executed"] == 1
    report = json.loads((Path(str(where[3])) / "reports" / "pilot" / "report.json").read_text())
    text = json.dumps(report)
    assert "pilot/pilot.orders.load/2" in text
    assert "a doubt" in text
    runs = ("pilot/pilot.orders.load/1", "pilot/pilot.orders.load/2")  # the first stands no more
    compare = ("report", "--home", where[3], "--out", "page.html", "--compare", *runs)
    status, out, err = answered(capsys, *compare)
    assert (status, "observations that both sides have" in out) == (0, True), err


def assert_damage_is_named(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    ledger = next((home / "ledger").glob("*.jsonl"))
    data = ledger.read_bytes()
    ledger.write_bytes(data[:300] + bytes([data[300] ^ 1]) + data[301:])
    status, out, _ = answered(capsys, "verify", home)
    assert status == 4
    assert f"ledger/{ledger.name}:1" in out

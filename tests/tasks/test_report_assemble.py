"""The completion report as a document: every figure with its evidence, every planned test accounted for."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from report_facts import named, phase_facts, spoil

from catalog.canonical import canonical, document_digest
from catalog.declarations import Programme
from catalog.reading import read_programme
from expectations.verdicts import LATER
from tasks.report.assemble import assemble_report
from tasks.report.render import render_report
from tests.shops import write_shop

FIGURE_TEXTS = {"figure", "value", "unit", "text", "evidence"}


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Programme:
    folder = tmp_path_factory.mktemp("catalogue") / "shop"
    write_shop(folder)
    return read_programme(folder)


@pytest.fixture
def facts(programme: Programme) -> dict[str, Any]:
    return phase_facts(programme, "launch")


def figures(document: Any) -> Iterator[dict[str, Any]]:
    """Every figure of a report, wherever it stands."""
    if isinstance(document, dict):
        if "figure" in document:
            yield document
            return
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from figures(each)


def loose_numbers(document: Any, where: str = "$") -> Iterator[str]:
    """Where numbers stand outside figures."""
    match document:
        case {"figure": _}:
            return
        case dict():
            for name, each in document.items():
                yield from loose_numbers(each, f"{where}.{name}")
        case list():
            for index, each in enumerate(document):
                yield from loose_numbers(each, f"{where}[{index}]")
        case bool() | None | str():
            return
        case _:
            yield where


def test_every_number_stands_in_a_figure_that_names_indexed_evidence(facts: dict[str, Any]) -> None:
    report = assemble_report(facts)
    index = {entry["digest"] for entry in report["evidence"]}
    found = list(figures(report))
    assert list(loose_numbers(report)) == []
    assert len(found) > 200
    for figure in found:
        assert figure.keys() >= FIGURE_TEXTS
        assert figure["evidence"]
        assert set(figure["evidence"]) <= index, figure["figure"]
        assert isinstance(figure["value"], int | str)


def test_an_id_stands_for_one_figure(facts: dict[str, Any]) -> None:
    by_id: dict[str, Any] = {}
    for figure in figures(assemble_report(facts)):
        assert by_id.setdefault(figure["figure"], figure) == figure


def test_the_same_facts_give_the_same_bytes_and_are_left_as_they_were(facts: dict[str, Any]) -> None:
    before = copy.deepcopy(facts)
    first = canonical(assemble_report(facts))
    assert canonical(assemble_report(copy.deepcopy(facts))) == first
    assert facts == before


def test_every_planned_test_is_there_exactly_once(facts: dict[str, Any]) -> None:
    report = assemble_report(facts)
    assert [test["test"] for test in report["tests"]] == [test["test"] for test in facts["tests"]]
    assert [decision["test"] for decision in report["reliance"]["decisions"]] == [
        test["test"] for test in facts["tests"]
    ]


def test_counts_of_verdicts_agree_with_the_observations(facts: dict[str, Any]) -> None:
    rows = facts["observations"]["rows"]
    spoil(facts, rows[0]["observation"], "not proved", "wholly outside")
    spoil(facts, rows[-1]["observation"], "inconclusive", "too few samples")
    report = assemble_report(facts)
    counts = {name: figure["value"] for name, figure in report["outcome"]["verdicts"].items()}
    assert counts == {"proved": len(rows) - 2, "not_proved": 1, "inconclusive": 1, "all": len(rows)}
    assert [each["verdict"] for each in report["outcome"]["look_at"]] == ["not proved", "inconclusive"]
    assert report["outcome"]["headline"] == "Not everything is proved"
    per_component = [each["verdicts"]["all"]["value"] for each in report["components"]]
    assert sum(per_component) == len(rows)


def test_volumes_add_up_and_say_what_they_rest_on(facts: dict[str, Any]) -> None:
    report = assemble_report(facts)
    for phase in report["volumes"]["phases"]:
        rows = facts["volumes"]["rows"][phase["phase"]]
        for component in phase["components"]:
            own = sum(row["day"] for row in rows if row["component"] == component["component"])
            assert component["total"]["day"]["value"] == own
            assert sum(path["day"]["value"] for path in component["paths"]) == own
            assert all(path["basis"] and path["assumptions"] for path in component["paths"])
            groups = sum(
                group["window"][component["component"]]["value"] for group in phase["groups"] if component["tested"]
            )
            assert not component["tested"] or groups == component["total"]["window"]["value"]
            assert component["total"]["window"]["value"] == sum(
                row[2] for row in phase["kinds"]["rows"] if row[0] == component["component"]
            )


def test_target_volumes_of_another_phase_are_shown_beside_the_phases_own(programme: Programme) -> None:
    phases = assemble_report(phase_facts(programme, "pilot"))["volumes"]["phases"]
    assert [(phase["phase"], phase["own"], bool(phase["targets_of"])) for phase in phases] == [
        ("pilot", True, False),
        ("launch", False, True),
    ]


def test_reliance_shows_each_input_old_and_new_and_the_run_it_rests_on(programme: Programme) -> None:
    report = assemble_report(phase_facts(programme, "launch", relied={"launch.orders.load": "pilot"}))
    test = next(each for each in report["tests"] if each["test"] == "launch.orders.load")
    assert (test["end"], test["runs"]) == ("relied", [])
    assert test["relied_on"]["run"] == "pilot/pilot.orders.load/1"
    decision = next(each for each in report["reliance"]["decisions"] if each["test"] == "launch.orders.load")
    assert [row["same"] for row in decision["compared"]] == [True, True]
    assert test["relied_on"]["record"] in decision["evidence"]
    assert {row["reliance"] for row in report["observations"] if row["test"] == test["test"]} == {"relied"}
    assert any(panel["test"] == "launch.orders.load" for panel in report["behaviour"])


IMPACT = {
    "evidence": {"run": "pilot/pilot.orders.load/1", "occasion": "pilot", "record": "a" * 64},
    "roots": [
        {
            "declared": "assumptions[ordering-share]",
            "differences": [
                {"input": f"assumptions[ordering-share].{place}", "old": "0.04", "new": "0.05"} for place in range(14)
            ],
            "old_digest": "b" * 64,
            "new_digest": None,
            "propagates": ["volumes.purchase|place-order|request"],
        }
    ],
    "by_themselves": ["key rules"],
    "apart": ["requirements[latency]"],
    "untraced": [],
    "traced": True,
    "affected": {"component": "orders", "paths": ["purchase"], "requirements": [], "tests": ["launch.orders.soak"]},
    "conclusion": "to be executed: 2 of 9 inputs compared are in the way",
}


def test_a_decision_is_told_as_an_impact_analysis(programme: Programme) -> None:
    facts = phase_facts(programme, "launch")
    test = next(each for each in facts["tests"] if each["test"] == "launch.orders.load")
    test["impact"] = IMPACT
    test["compared"] = [
        {"input": f"volumes.purchase|{name}|request", "old": old, "new": new, "same": old == new, "allows": old == new}
        for name, old, new in (("place-order", 10_000, 30_000), ("order-status", 30_000, 30_000), ("look", 0, 0))
    ]
    report = assemble_report(facts)
    told = next(each for each in report["reliance"]["decisions"] if each["test"] == "launch.orders.load")
    assert told["conclusion"] == IMPACT["conclusion"]
    assert (told["by_themselves"], told["apart"], told["untraced"]) == ("key rules", "requirements[latency]", "")
    (root,) = told["roots"]
    assert (len(root["differences"]), root["more"], root["new_digest"]) == (12, "and 2 more", "")
    assert [each["what"] for each in told["affected"]] == [
        "component", "message paths", "other tests that the root causes touch",
    ]  # fmt: skip
    rose, equal = told["compared"]
    assert (rose["old"], rose["new"], rose["allows"]) == ("10,000 (25 %)", "30,000 (50 %)", False)
    assert rose["old_digest"] == document_digest(10_000)
    assert (equal["input"], equal["old"]) == ("volumes, 2 kinds of message, each equal", "30,000 messages")
    page = render_report(report)
    for words in ("Root causes", "Changed by themselves", "in the way", "and 2 more", IMPACT["conclusion"]):
        assert words in page
    assert "How often reliance would have been wrong" not in page


def sampled(*outcomes: str) -> dict[str, object]:
    return {
        "record": named("draw"), "share": "0.5", "seed": 7, "relied": [f"t{n}" for n in range(len(outcomes) * 2)],
        "tests": [
            {"test": f"t{n}", "relied_on": f"pilot/t{n}/1", "run": f"launch/t{n}/1", "record": "", "outcome": outcome,
             "verdict": {"same": "proved", "differs": "not proved"}.get(outcome, "inconclusive")}
            for n, outcome in enumerate(outcomes)
        ],
    }  # fmt: skip


def test_a_sample_of_relied_tests_is_told_with_its_interval(programme: Programme) -> None:
    facts = {**phase_facts(programme, "launch"), "samples": [sampled("same", "differs", "no answer")]}
    report = assemble_report(facts)
    figures = report["reliance"]["sampling"]["figures"]
    assert {name: figure["value"] for name, figure in figures.items()} == {
        "relied": 6, "drawn": 3, "answered": 2, "wrong": 1, "no_answer": 1, "share": 500_000,
    }  # fmt: skip
    assert figures["share"]["interval"] == "1.2579 % to 98.7421 %"
    assert all(figure["evidence"] == [named("draw")] for figure in figures.values())
    page = render_report(report)
    assert "How often reliance would have been wrong" in page
    assert "share 0.5, seed 7" in page


@pytest.mark.parametrize(
    ("outcomes", "told"), [((), "there was no such test: none was drawn"), (("no answer",), "came to an answer")]
)
def test_a_sample_without_an_answer_says_so(programme: Programme, outcomes: tuple[str, ...], told: str) -> None:
    facts = {**phase_facts(programme, "launch"), "samples": [sampled(*outcomes)]}
    assert told in render_report(assemble_report(facts))


def test_a_long_input_is_cut_and_named_by_its_digest(programme: Programme) -> None:
    facts = phase_facts(programme, "launch", relied={"launch.orders.load": "pilot"})
    relied = next(test for test in facts["tests"] if test["end"] == "relied")
    relied["compared"] = [{"input": "volumes", "old": {"cell": "x" * 999}, "new": None, "same": False, "allows": True}]
    report = assemble_report(facts)
    row = next(each for each in report["reliance"]["decisions"] if each["end"] == "relied")["compared"][0]
    assert "… (SHA-256 " in row["old"]
    assert len(row["old"]) < 400
    assert row["new"] == "nothing"


def test_interrupted_and_repeated_runs_are_deviations(facts: dict[str, Any]) -> None:
    test = facts["tests"][0]
    first = test["runs"][0]
    again = copy.deepcopy(first)
    again |= {"run": f"{first['run'][:-1]}2", "again": "the run before was interrupted", "record": named("second")}
    first |= {"state": "interrupted", "judged": False, "verdict": None, "document": None}
    test["runs"].append(again)
    report = assemble_report(facts)
    assert [(run["state"], run["stands"]) for run in report["tests"][0]["runs"]] == [
        ("interrupted", False),
        ("finished", True),
    ]
    assert [(row["run"], row["why"]) for row in report["deviations"]["runs"]] == [
        (first["run"], "It has a beginning and no end"),
        (again["run"], "Run again: the run before was interrupted"),
    ]


def test_an_interrupted_run_says_what_it_kept_and_which_stretch_is_missing(facts: dict[str, Any]) -> None:
    run = facts["tests"][0]["runs"][0]
    lost = {"results": 700, "lost": 500, "first": 690, "last": 1199, "from_us": 3_450_000, "until_us": 5_990_000}
    run["document"]["interrupted"] = {"reason": "the injector ended", "step": 1, **lost}
    run |= {"state": "interrupted", "verdict": "inconclusive", "reason": "load not offered"}
    found = assemble_report(facts)["tests"][0]["runs"][0]
    assert found["reason"] == "load not offered. the injector ended"
    told = {each["label"]: each["value"] for each in found["figures"]}
    assert {name: figure["text"] for name, figure in told.items() if "ost" in name or "results" in name} == {
        "Messages with results": "700",
        "Messages lost": "500",
        "Lost from sequence": "690",
        "Lost to sequence": "1,199",
        "Lost, due from": "3.45 s",
        "Lost, due until": "5.99 s",
    }
    assert all(figure["evidence"] == [run["digests"]["run"], run["record"]] for figure in list(told.values())[:4])


def test_stages_of_message_paths_are_shown_with_the_test_that_went_through_them(facts: dict[str, Any]) -> None:
    report = assemble_report(facts)
    for test in report["tests"]:
        own, beyond = test["stages"]
        assert (own["component"], own["beyond"]) == (test["component"], "")
        assert (beyond["component"], beyond["beyond"]) == ("stand-ins-plain", "beyond")
        assert (own["received"]["text"], own["handover"]["text"], own["failed"]["text"]) == ("1,200", "0", "10")
        assert own["success"]["text"] == "99.1667 %"
        assert own["received"]["evidence"] == [named(f"measurements {test['runs'][0]['run']}")]
        if test["type"] == "stress":
            assert own["rate_in"] is own["rate_out"] is None
        else:
            assert (own["rate_in"]["value"], own["rate_in"]["text"]) == (200_125, "200.1 a second")


def test_a_test_whose_stages_nobody_counted_has_none(facts: dict[str, Any]) -> None:
    rows = facts["measurements"]
    facts["measurements"] = [row for row in rows if not row["scope"].startswith("stage:")]
    assert {str(test["stages"]) for test in assemble_report(facts)["tests"]} == {"[]"}
    facts["measurements"], facts["tests"][0]["runs"] = rows, []
    assert assemble_report(facts)["tests"][0]["stages"] == []


def test_why_a_first_run_was_made_is_no_reason_for_another(facts: dict[str, Any]) -> None:
    facts["tests"][0]["runs"][0]["again"] = "there is no earlier evidence"
    report = assemble_report(facts)
    assert report["deviations"]["runs"] == []
    assert report["tests"][0]["runs"][0]["again"] == ""


def test_a_system_that_could_not_be_reached_is_said_with_its_reason(facts: dict[str, Any]) -> None:
    run = facts["tests"][0]["runs"][0]
    run |= {"state": "unreachable", "verdict": "inconclusive"}
    run["document"] |= {"unreachable": "connection refused", "start_us": 0, "target": {"messages": 0}}
    del facts["series"][run["run"]]
    report = assemble_report(facts)
    assert report["tests"][0]["runs"][0]["reason"] == "connection refused"
    assert "Started" not in {each["label"] for each in report["tests"][0]["runs"][0]["figures"]}


def test_a_test_that_was_not_run_is_reported_as_such(facts: dict[str, Any]) -> None:
    test = facts["tests"][-1]
    test |= {"end": "not run", "why": "interrupted before its turn", "runs": []}
    gone = facts["observations"]["rows"]
    facts["observations"]["rows"] = [row for row in gone if row["test"] != test["test"]]
    report = assemble_report(facts)
    assert report["deviations"]["without_result"] == [
        {"test": test["test"], "end": "not run", "why": "interrupted before its turn"}
    ]
    assert report["tests"][-1]["verdict"] == ""
    assert report["outcome"]["tests"]["not run"]["value"] == 1
    assert report["outcome"]["headline"] == "Every observation is proved, but some planned tests have no result"


def test_a_rehearsal_is_stamped_with_what_was_scaled(facts: dict[str, Any]) -> None:
    report = assemble_report(facts)
    stamp = report["stamp"]
    assert [(each["name"], each["declared"]["text"], each["conducted"]["text"]) for each in stamp["durations"]] == [
        ("load", "4 h", "6 s"),
        ("stress", "10 min", "1.2 s"),
        ("soak", "24 h", "6 s"),
    ]
    assert {each["component"]: each["factor"]["value"] for each in stamp["rates"]} == {
        "storefront": "1",
        "orders": "25",
    }
    loads = [row for row in report["deviations"]["conduct"] if row["test"] == "launch.orders.load"]
    assert [(row["compression"]["value"], row["rate"]["value"]) for row in loads] == [("2400", "25")]


def test_a_real_environment_has_no_stamp_and_nothing_scaled_is_no_deviation(facts: dict[str, Any]) -> None:
    facts["environment"] |= {"kind": "real", "durations": {}, "rates": {}, "components": {}}
    for test in facts["tests"]:
        for run in test["runs"]:
            run["document"] |= {"compression": "1", "rate": "1"}
    report = assemble_report(facts)
    assert report["stamp"] is None
    assert report["deviations"]["conduct"] == []


@pytest.mark.parametrize(
    ("approved", "said"),
    [
        (None, "cannot be shown to have followed approval"),
        ("2027-01-14", "not before the approval of 2027-01-14"),
        ("2027-01-16", "before the approval of 2027-01-16"),
        ("spring 2027", "cannot be shown to have followed approval"),
    ],
)
def test_whether_testing_preceded_approval(facts: dict[str, Any], approved: str | None, said: str) -> None:
    facts["programme"]["programme"]["approach_document"]["approved"] = approved
    order = assemble_report(facts)["identity"]["approach_document"]["order"]
    assert order.startswith("Testing began on 2027-01-15")
    assert said in order


def test_a_measurement_without_a_value_or_a_bound_says_so(facts: dict[str, Any]) -> None:
    rows = facts["observations"]["rows"]
    rows[0] |= {"value": None, "lower": None, "upper": None, "samples": 0, "verdict": "inconclusive", "reason": "none"}
    rows[1]["upper"] = LATER
    first, second = assemble_report(facts)["observations"][:2]
    assert (first["measured"]["text"], first["measured"]["interval"]) == ("not measured", "no interval")
    assert second["measured"]["interval"].endswith(" to unbounded")


def test_a_phase_in_which_nothing_was_answered_is_reported(facts: dict[str, Any]) -> None:
    """Latencies of a system that ended under test are unknown, and later than any; nothing is computed with them."""
    for row in facts["observations"]["rows"] + facts["measurements"]:
        if row["unit"] == "us":
            row |= {"value": LATER, "lower": LATER, "upper": LATER}
    assembled = assemble_report(facts)
    assert canonical(assembled)
    assert render_report(assembled)
    told = [each["text"] for each in figures(assembled) if each["figure"].endswith("/of-limit")]
    assert any(text == "at most its limit: unbounded" for text in told)


def test_a_step_is_carried_as_the_recorded_headroom_says(facts: dict[str, Any]) -> None:
    panels = [panel for panel in assemble_report(facts)["behaviour"] if panel["panel"] == "steps"]
    carried = [row[panels[0]["series"]["columns"].index("carried")] for row in panels[0]["series"]["rows"]]
    assert carried == ["carried"] * 2 + ["not carried"] * 2
    for row in facts["measurements"]:
        row["samples"] = 0
    untold = [panel for panel in assemble_report(facts)["behaviour"] if panel["panel"] == "steps"]
    assert {row[-1] for row in untold[0]["series"]["rows"]} == {"not told"}


def test_exit_criteria_are_stated_with_figures(facts: dict[str, Any]) -> None:
    criteria = {each["id"]: each for each in assemble_report(facts)["exit_criteria"]}
    assert criteria["all-proved"]["state"] == "met"
    assert criteria["all-proved"]["rehearsal"]
    assert not criteria["numbers-agreed"]["rehearsal"]
    assert criteria["numbers-agreed"]["state"] == "not met"
    assert criteria["board-decision"]["state"] == "cannot be told"
    reason = criteria["all-proved"]["reason"]
    assert [part["value"] for part in reason if isinstance(part, dict)] == [len(facts["observations"]["rows"])] * 2


def test_a_figure_without_evidence_is_refused(facts: dict[str, Any]) -> None:
    facts["volumes"]["digests"] = dict.fromkeys(facts["volumes"]["digests"], "")
    with pytest.raises(ValueError, match="rests on no evidence"):
        assemble_report(facts)


def test_evidence_that_contradicts_itself_is_refused(facts: dict[str, Any]) -> None:
    facts["tests"].append(copy.deepcopy(facts["tests"][0]))
    facts["tests"][-1]["runs"][0]["document"]["blocks"] = 31
    with pytest.raises(ValueError, match="two different figures"):
        assemble_report(facts)

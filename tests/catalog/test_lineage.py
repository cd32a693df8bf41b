"""Lineage: what rests on what, by digest or by figure, over a real ledger."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.canonical import digest
from catalog.errors import UsageError
from catalog.ledger import Actor, Draft, Kind, Ledger, Record, Reference
from catalog.lineage import Figure, Lineage, Step, as_json, figures, render, tainted, told, withdrawals, withdrawn


def name(text: str) -> str:
    return digest(text.encode())


def draft(kind: Kind, stage: str, inputs: Sequence[str], outputs: Sequence[str] = ()) -> Draft:
    """A draft whose inputs and outputs are named by words; a digest among the inputs stands for itself."""
    return Draft(
        kind=kind,
        stage=stage,
        inputs=tuple(Reference(role=text[:12], digest=text if len(text) == 64 else name(text)) for text in inputs),
        outputs=tuple(Reference(role=text, digest=name(text)) for text in outputs),
    )


def chain(root: Path, drafts: Sequence[Draft]) -> list[Record]:
    return Ledger(root).append(drafts, actor=Actor(name="tester"), code="1")


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    return chain(
        tmp_path,
        [
            draft(Kind.DECLARED, "declare", [], ["catalogue"]),
            draft(Kind.DERIVED, "volumes", ["catalogue"], ["volumes"]),
            draft(Kind.EXECUTED, "execute", ["volumes"], ["results", "metrics"]),
            draft(Kind.DERIVED, "measure", ["results", "metrics"], ["measurements"]),
            draft(Kind.OBSERVED, "observe", ["measurements", "catalogue"], ["observations"]),
            draft(Kind.REPORTED, "report", ["observations"], ["report.json"]),
        ],
    )


def shape(steps: Sequence[Step]) -> list[tuple[int, str]]:
    return [(step.depth, step.record.stage if step.record else step.role) for step in steps]


def test_a_report_rests_on_all_that_led_to_it(records: list[Record]) -> None:
    assert shape(Lineage(records).up(name("measurements"))) == [
        (0, ""),
        (1, "measure"),
        (2, "results"),
        (3, "execute"),
        (4, "volumes"),
        (5, "volumes"),
        (6, "catalogue"),
        (7, "declare"),
        (2, "metrics"),
        (3, "execute"),
    ]
    last = Lineage(records).up(name("measurements"))[-1]
    assert (last.repeated, last.last) == (True, True)


def test_a_declaration_carries_all_that_followed(records: list[Record]) -> None:
    steps = Lineage(records).down(name("catalogue"))
    assert {step.record.stage for step in steps if step.record} == {
        "volumes",
        "execute",
        "measure",
        "observe",
        "report",
    }
    assert name("report.json") in {step.digest for step in steps}


def test_up_and_down_are_each_others_inverse(records: list[Record]) -> None:
    graph = Lineage(records)
    nodes = {record.digest for record in records} | {item.digest for record in records for item in record.outputs}
    above = {(low, step.digest) for low in nodes for step in graph.up(low)}
    below = {(step.digest, high) for high in nodes for step in graph.down(high)}
    assert above == below


def test_equal_bytes_made_twice_rest_on_the_production_that_was_used(tmp_path: Path) -> None:
    records = chain(
        tmp_path,
        [
            draft(Kind.DERIVED, "first", ["a"], ["table"]),
            draft(Kind.DERIVED, "uses", ["table"], ["x"]),
            draft(Kind.DERIVED, "second", ["x"], ["table"]),
            draft(Kind.DERIVED, "uses again", ["table"], ["y"]),
        ],
    )
    graph = Lineage(records)
    assert shape(graph.up(name("x"))) == [(0, ""), (1, "uses"), (2, "table"), (3, "first"), (4, "a")]
    assert [step.record.stage for step in graph.up(name("y")) if step.record] == [
        "uses again", "second", "uses", "first",
    ]  # fmt: skip
    assert [step.record.stage for step in graph.down(records[2].digest) if step.record] == ["second", "uses again"]


def test_a_record_may_rest_on_a_record(tmp_path: Path) -> None:
    (executed,) = chain(tmp_path, [draft(Kind.EXECUTED, "execute", [], ["results"])])
    chain(tmp_path, [draft(Kind.RELIED, "rely", [executed.digest], ["reliance"])])
    graph = Lineage(Ledger(tmp_path).records())
    assert shape(graph.up(name("reliance"))) == [(0, ""), (1, "rely"), (2, "execute")]
    assert (1, "rely") in shape(graph.down(executed.digest))


def test_a_node_is_named_by_its_digest_or_the_beginning_of_it(records: list[Record]) -> None:
    graph = Lineage(records)
    assert graph.resolve(name("volumes")) == graph.resolve(name("volumes")[:8]) == [name("volumes")]
    assert graph.resolve(records[0].digest[:12]) == [records[0].digest]
    for text, problem in [("ab", "too short"), ("", "too short"), ("ffffffffff", "no digest"), ("x" * 90, "no digest")]:
        with pytest.raises(UsageError, match=problem):
            graph.resolve(text)


def test_a_beginning_of_several_digests_is_refused(tmp_path: Path) -> None:
    inputs = tuple(Reference(role=last, digest="ab" * 31 + "a" + last) for last in "12")
    records = chain(tmp_path, [Draft(kind=Kind.DERIVED, stage="x", inputs=inputs)])
    with pytest.raises(UsageError, match="more than one"):
        Lineage(records).resolve("ab" * 20)
    assert Lineage(records).resolve(inputs[1].digest) == [inputs[1].digest]


def test_a_figure_means_its_evidence(records: list[Record]) -> None:
    figure = {"figure": "ioc.dsp.p99", "value": 3, "unit": "us", "evidence": [name("observations"), name("results")]}
    report = {"sections": [{"rows": [{"figure": "other", "evidence": []}, figure]}]}
    graph = Lineage(records)
    assert [item["figure"] for item in figures(report)] == ["other", "ioc.dsp.p99"]
    assert graph.resolve("ioc.dsp.p99", report) == [name("observations"), name("results")]
    with pytest.raises(UsageError, match="no figure of the report"):
        graph.resolve("ioc.dsp.p50", report)


def test_the_tree_is_drawn_and_given_to_scripts(records: list[Record]) -> None:
    steps = Lineage(records).up(name("measurements"))
    lines = list(render(steps))
    assert lines[0] == name("measurements")[:16]
    assert lines[1].startswith("└─ derived by measure, record 4, ")
    assert lines[2].startswith("   ├─ results  ")
    assert lines[3].startswith("   │  └─ executed by execute, record 3, ")
    assert lines[-1].startswith("      └─ executed by execute")
    assert lines[-1].endswith("(see above)")
    items = json.loads(json.dumps(as_json(steps)))
    assert items[2] == {"depth": 2, "digest": name("results"), "repeated": False, "role": "results"}
    assert (items[1]["sequence"], items[1]["kind"], items[1]["stage"]) == (4, "derived", "measure")


def test_a_deep_ledger_is_drawn_without_recursion_in_bounded_lines(tmp_path: Path) -> None:
    drafts = [draft(Kind.DERIVED, "step", [str(number)], [str(number + 1)]) for number in range(3000)]
    graph = Lineage(chain(tmp_path, drafts))
    lines = list(render(graph.up(name("3000"))))
    assert len(lines) == 6001
    assert max(map(len, lines)) < 250
    assert len(graph.down(name("0"))) == 6001


def test_withdrawal_taints_what_rests_on_it_and_nothing_else(tmp_path: Path, records: list[Record]) -> None:
    assert tainted(records) == set()
    chain(tmp_path, [draft(Kind.WITHDRAWN, "withdraw", [records[2].digest])])
    after = Ledger(tmp_path).records()
    assert withdrawn(after) == {records[2].digest}
    sound = {records[0].digest, records[1].digest, name("catalogue"), name("volumes"), after[-1].digest}
    everything = {item.digest for record in after for item in (record, *record.outputs)}
    assert tainted(after) == everything - sound


def test_bytes_that_a_sound_record_made_again_are_sound_again(tmp_path: Path) -> None:
    (wrong,) = chain(tmp_path, [draft(Kind.DERIVED, "wrong", [], ["table"])])
    chain(tmp_path, [draft(Kind.WITHDRAWN, "withdraw", [wrong.digest])])
    assert name("table") in tainted(Ledger(tmp_path).records())
    (right, use) = chain(
        tmp_path, [draft(Kind.DERIVED, "right", [], ["table"]), draft(Kind.DERIVED, "use", ["table"], ["x"])]
    )
    assert tainted(Ledger(tmp_path).records()).isdisjoint({name("table"), right.digest, use.digest, name("x")})
    chain(tmp_path, [draft(Kind.WITHDRAWN, "withdraw", [name("table")])])
    assert {name("table"), use.digest, name("x")} <= tainted(Ledger(tmp_path).records())


def test_whatever_is_tainted_names_the_withdrawal_and_the_tree_says_so(tmp_path: Path, records: list[Record]) -> None:
    (first,) = chain(tmp_path, [draft(Kind.WITHDRAWN, "withdraw", [records[2].digest])])
    reason = Draft(
        kind=Kind.WITHDRAWN,
        stage="withdraw",
        inputs=(Reference(role="withdrawn", digest=name("measurements")),),
        parameters={"reason": " a wrong clock "},
    )
    (second,) = chain(tmp_path, [reason])
    after = Ledger(tmp_path).records()
    causes = withdrawals(after)
    assert causes.keys() == tainted(after)
    assert (causes[records[2].digest], causes[name("results")]) == (first, first)
    assert (causes[records[3].digest], causes[records[4].digest]) == (second, second)
    assert told(first) == f"withdrawn by tester on {first.time[:10]}: no reason given"
    steps = Lineage(after).up(name("observations"))
    lines = list(render(steps))
    assert lines[0].endswith(f"[rests on what record {second.sequence} withdrew]")
    assert any(line.endswith(f"[withdrawn by tester on {second.time[:10]}: a wrong clock]") for line in lines)
    assert not any("withdr" in line for line in lines if "volumes" in line)
    marked = {item["digest"]: item["withdrawn"] for item in as_json(steps) if "withdrawn" in item}
    assert marked[name("results")] == {"record": first.sequence, "actor": "tester", "reason": None}
    assert name("volumes") not in marked


@pytest.fixture
def graph(tmp_path: Path) -> tuple[Lineage, list[Record]]:
    """A keyed run that is reported and signed, and a report of a second phase that claims the same evidence."""
    run = {"run": "ioc/ioc.dsp.load/1", "occasion": "ioc", "test": "ioc.dsp.load"}
    drafts = [
        Draft(kind=Kind.STARTED, stage="execute", key=name("key"), parameters=run),
        replace(draft(Kind.EXECUTED, "execute", [], ["results"]), key=name("key"), parameters=run),
        replace(draft(Kind.OBSERVED, "observe", ["results"], ["observations"]), parameters={"occasion": "ioc"}),
        replace(draft(Kind.REPORTED, "report", ["observations"], ["report.json"]), parameters={"phase": "ioc"}),
    ]
    head = chain(tmp_path, drafts)[-1]
    statement = {"statement": {"phase": "ioc", "head": head.digest, "sequence": head.sequence}}
    chain(tmp_path, [Draft(kind=Kind.SIGNED, stage="sign", parameters=statement)])
    chain(tmp_path, [replace(draft(Kind.REPORTED, "report", ["observations"], ["two"]), parameters={"phase": "moc"})])
    records = Ledger(tmp_path).records()
    claimed = {"figure": "outcome/proved", "value": 3, "unit": "count", "text": "3", "evidence": [name("observations")]}
    report = {"tests": [{"test": "ioc.dsp.load", "component": "dsp", "verdict": "proved", "n": claimed}]}
    return Lineage(records, {"ioc": (records[3], report), "moc": (records[5], report)}), records


def test_a_figure_is_the_root_of_what_it_rests_on_and_the_leaf_of_what_rests_on_its_evidence(
    graph: tuple[Lineage, list[Record]],
) -> None:
    lineage, records = graph
    ioc, moc = lineage.find("outcome/proved")
    assert isinstance(ioc, Figure)
    assert lineage.find("outcome/proved", "moc") == [moc]
    assert (ioc.claim.component, ioc.claim.verdict, ioc.report) == ("dsp", "proved", records[3])
    up = lineage.up(ioc)
    assert shape(up) == [
        (0, ""), (1, "evidence"), (2, "observe"), (3, "results"), (4, "execute"), (5, "key"),
    ]  # fmt: skip
    assert next(render(up)) == "figure  outcome/proved = 3  proved  in the report of ioc"
    assert as_json(up)[0] | {"digest": "", "repeated": False} == {
        "depth": 0, "digest": "", "repeated": False, "phase": "ioc", "figure": "outcome/proved", "value": "3",
        "unit": "count", "text": "3", "evidence": [name("observations")], "section": "tests", "component": "dsp",
        "test": "ioc.dsp.load", "verdict": "proved",
    }  # fmt: skip
    down = lineage.down(name("results"))
    assert [(step.figure.phase, step.figure.name) for step in down if step.figure] == [
        ("ioc", "outcome/proved"),
        ("moc", "outcome/proved"),
    ]
    assert [step.record.stage for step in lineage.down(ioc) if step.record] == ["report", "sign"]


def test_keys_signatures_runs_and_sequences_are_found_too(graph: tuple[Lineage, list[Record]]) -> None:
    lineage, records = graph
    assert lineage.find("ioc/ioc.dsp.load/1") == lineage.find("2") == [records[1].digest]
    assert lineage.find(name("key")[:12]) == [name("key")]
    assert [step.record.sequence for step in lineage.down(name("key")) if step.record][:1] == [1]
    assert [step.role for step in lineage.up(records[4].digest)][:3] == ["", "vouched for", "observations"]
    assert (1, "sign") in shape(lineage.down(records[3].digest))
    for wrong, problem in [("0", "no record 0"), ("99", "no record 99"), ("outcome/provd", "no figure")]:
        with pytest.raises(UsageError, match=problem) as refused:
            lineage.find(wrong)
    assert refused.value.help() == "Did you mean 'outcome/proved'?"


def test_many_figures_under_one_node_are_counted_in_a_drawn_tree(tmp_path: Path) -> None:
    records = chain(
        tmp_path, [draft(Kind.DECLARED, "declare", [], ["programme"]), draft(Kind.REPORTED, "report", ["programme"])]
    )
    many = [{"figure": f"declared/{n}", "value": n, "unit": "us", "evidence": [name("programme")]} for n in range(40)]
    steps = Lineage(records, {"ioc": (records[1], {"volumes": many})}).down(name("programme"))
    lines = list(render(steps))
    assert lines[-1] == "└─ … and 28 more figures (--json lists them all)"
    assert len(lines) == 15
    assert sum("figure" in item for item in as_json(steps)) == 40


def test_a_figure_on_withdrawn_evidence_says_so(tmp_path: Path) -> None:
    records = chain(
        tmp_path, [draft(Kind.EXECUTED, "execute", [], ["results"]), draft(Kind.REPORTED, "report", ["results"])]
    )
    chain(tmp_path, [draft(Kind.WITHDRAWN, "withdraw", [records[0].digest])])
    report = {"outcome": {"figure": "p99", "value": 1, "unit": "us", "evidence": [name("results")]}}
    lineage = Lineage(Ledger(tmp_path).records(), {"ioc": (records[1], report)})
    assert next(render(lineage.up(lineage.find("p99")[0]))).endswith("[rests on what record 3 withdrew]")

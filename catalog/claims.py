"""What a report claims: each of its figures, with what the report says around it.

A figure takes on the texts of the objects that it stands in (component, test, run, verdict and so on), so this needs to
know nothing of a report's sections, nor they of this.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catalog.store import is_digest

_TEXTS = ("component", "test", "run", "verdict", "reliance", "scope", "metric", "requirement", "title", "standing")
_ENDS = ("executed", "relied", "received")  # how a test ended, where that says on what its figures rely
_VERDICTS = ("proved", "not proved", "inconclusive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One figure of a report: its id, its value in `unit` and as read, the digests it rests on, and its surroundings.

    `interval`, `samples` and `method` are as the report tells them; what it does not tell is empty.
    """

    figure: str
    value: str
    unit: str
    text: str
    evidence: tuple[str, ...]
    section: str
    interval: str = ""
    samples: str = ""
    method: str = ""
    component: str = ""
    test: str = ""
    run: str = ""
    verdict: str = ""
    reliance: str = ""
    scope: str = ""
    metric: str = ""
    requirement: str = ""
    title: str = ""
    standing: str = ""

    def as_json(self) -> dict[str, Any]:
        """The claim without what is empty."""
        named = {name: getattr(self, name) for name in self.__slots__}
        return {name: list(each) if isinstance(each, tuple) else each for name, each in named.items() if each}


def claims(report: Any, only: str | None = None) -> list[Claim]:
    """Every figure of a report, once each, in document order. What one place does not say of it, another may.

    `only`: the figure of that id alone, which takes less time than all.
    """
    found: dict[str, dict[str, Any]] = {}
    parts = list(report.items()) if isinstance(report, dict) else []
    pending: list[tuple[Any, dict[str, str]]] = [(part, {"section": str(name)}) for name, part in reversed(parts)]
    while pending:
        part, around = pending.pop()
        match part:
            case {"figure": str(name)} if only not in (None, name):
                pass
            case {"figure": str(name)}:
                told = found.setdefault(name, _figure(part))
                for key, text in around.items():
                    told[key] = told.get(key) or text
            case dict():
                inside = {**around, **_texts(part)}
                pending.extend((each, inside) for each in reversed(list(part.values())))
            case list():
                pending.extend((each, around) for each in reversed(part))
    tests, runs = _tests(report)
    return [_claim(name, told, tests, runs) for name, told in found.items()]


def _figure(figure: Mapping[str, Any]) -> dict[str, Any]:
    evidence = figure.get("evidence")
    named = {name: _text(figure.get(name)) for name in ("value", "unit", "text", "interval", "samples", "method")}
    named |= {"standing": figure["standing"]} if isinstance(figure.get("standing"), str) else {}
    digests = [each for each in evidence if is_digest(each)] if isinstance(evidence, list) else []
    return {**named, "evidence": tuple(dict.fromkeys(digests))}


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def _texts(part: Mapping[str, Any]) -> dict[str, str]:
    """What an object tells of whatever stands in it."""
    told = {name: part[name] for name in _TEXTS if isinstance(part.get(name), str) and part[name]}
    if told.get("verdict") not in (None, *_VERDICTS):
        del told["verdict"]
    if part.get("end") in _ENDS:
        told.setdefault("reliance", part["end"])
    return told


def _tests(report: Any) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """What a report says of each planned test, and of which test each run is."""
    tests: dict[str, dict[str, str]] = {}
    runs: dict[str, str] = {}
    listed = report.get("tests") if isinstance(report, dict) else None
    for test in listed if isinstance(listed, list) else []:
        match test:
            case {"test": str(name), "component": str(component)}:
                told = {"component": component}
                tests[name] = told | ({"reliance": test["end"]} if test.get("end") in _ENDS else {})
                own = test.get("runs")
                runs |= {each["run"]: name for each in own if _names_run(each)} if isinstance(own, list) else {}
    return tests, runs


def _names_run(run: Any) -> bool:
    return isinstance(run, dict) and isinstance(run.get("run"), str)


def _claim(name: str, told: dict[str, Any], tests: dict[str, dict[str, str]], runs: dict[str, str]) -> Claim:
    test = told.get("test") or runs.get(told.get("run", ""), "")
    known = {**tests.get(test, {}), "test": test} if test else {}
    return Claim(figure=name, **{**known, **{key: each for key, each in told.items() if each}, **_needed(told)})


def _needed(told: dict[str, Any]) -> dict[str, Any]:
    return {name: told[name] for name in ("value", "unit", "text", "evidence", "section")}

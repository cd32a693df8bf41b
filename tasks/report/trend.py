"""Renders the history of the scheduled regression: one self-contained page, and JUnit's XML for what reads that."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from catalog.shown import shown
from expectations.regression import Comparison
from expectations.statistics import MILLION
from expectations.verdicts import Verdict
from tasks.report.plain_text import harmless
from tasks.report.render import render_page
from tasks.report.trend_charts import draw_series
from tasks.trend import told

Row = Mapping[str, Any]


def render_trend(history: Row) -> str:
    """The page of a history (`tasks.trend.trend`), as HTML. The same history gives the same bytes."""
    history = harmless(history)
    series = sorted(history["series"], key=lambda each: not each["worse"])
    return render_page(
        "history.html.j2",
        history=history,
        series=[
            {
                **each,
                "chart": Markup(draw_series(each)),  # noqa: S704 - drawn here, its texts escaped
                "told": list(told(each)),
                "newest": _shown(each, each["points"][-1]["value"]),
                "shown": [{**point, "text": _shown(each, point["value"])} for point in each["points"]],
                "said": [{**change, "text": _change(each, change)} for change in each["changes"]],
            }
            for each in series
        ],
    )


def _shown(series: Row, value: int) -> str:
    return shown(value, series["unit"])


def _change(series: Row, change: Row) -> str:
    times = "" if change["ratio_ppm"] is None else f", {change['ratio_ppm'] / MILLION:.3g} times"
    return f"from {_shown(series, change['before'])} to {_shown(series, change['after'])}{times}"


def junit(observations: Sequence[Row], history: Row) -> bytes:
    """Observations of one regression, and what its history shows, as JUnit's XML.

    A suite for each test, a case for each requirement and scope; what is not proved failed, what is inconclusive is in
    error, since a pipeline that goes on must have been told that all is proved. The last suite is the history, a case
    for each figure.
    """
    root = ElementTree.Element("testsuites", name=str(history["days"][-1]["occasion"]))
    for test in dict.fromkeys(row["test"] for row in observations):
        _suite(root, test, [_observed(row) for row in observations if row["test"] == test])
    _suite(root, "history", [_kept(each) for each in history["series"]])
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written


def _suite(root: ElementTree.Element, name: str, cases: Sequence[ElementTree.Element]) -> None:
    counts = {kind: sum(case.find(kind) is not None for case in cases) for kind in ("failure", "error")}
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=_xml(name),
        tests=str(len(cases)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
    )
    suite.extend(cases)


def _observed(row: Row) -> ElementTree.Element:
    case = ElementTree.Element(
        "testcase", classname=_xml(row["test"]), name=_xml(f"{row['requirement']} ({row['scope']})")
    )
    if row["verdict"] != Verdict.PROVED:
        kind = "failure" if row["verdict"] == Verdict.NOT_PROVED else "error"
        ElementTree.SubElement(case, kind, type=row["verdict"], message=_xml(row["reason"]))
    return case


def _kept(series: Row) -> ElementTree.Element:
    name = f"{series['requirement']} ({series['scope']})"
    case = ElementTree.Element("testcase", classname=_xml(f"history.{series['test']}"), name=_xml(name))
    held = series.get("baseline")
    if series["worse"]:
        ElementTree.SubElement(case, "failure", type="worse", message=_xml("; ".join(told(series))))
    elif held and held["verdict"] == Comparison.INCONCLUSIVE:
        told_ = f"against {held['title']}: {held['reason']}"
        ElementTree.SubElement(case, "error", type="inconclusive", message=_xml(told_))
    return case


def _xml(text: str) -> str:
    """A text without the characters that XML 1.0 has no way to write."""
    return _UNWRITABLE.sub("\ufffd", text)


_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

"""What docs/extending.md shows, installed word for word: each of the five does its work, and fails as it should."""

import os
import sys
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from distributions import install_guide
from exporters import serving
from hypothesis import given
from hypothesis import strategies as st
from test_execute import conduct, entering
from test_judge import sound, write

from catalog.canonical import canonical
from catalog.declarations import MetricSource
from catalog.errors import EvidenceError, WorldError
from catalog.extensions import SHIPPED, ExtensionError, Point
from catalog.runs import RunState
from expectations.further import Expectation
from tasks.codecs import Message, MessageError, MessageKind, codec_named
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.expecting import expectation, expectations_of, expected, unmet
from tasks.inject.choice import Guarded, misfit, open_injector
from tasks.inject.files import NEVER, RESULTS, Outcome
from tasks.inject.injector import Injection, Load, Target
from tasks.intake.format import Account, Source, Sure
from tasks.intake.recognise import Installed, formats, recognise
from tasks.judge import TABLE
from tasks.metrics import Asked, Scrape, Watch, open_source

STATUS = "Active connections: 3 \nserver accepts handled requests\n 8 8 9 \nReading: 0 Writing: 1 Waiting: 2 \n"


@pytest.fixture(scope="module", autouse=True)
def acme(tmp_path_factory):
    """The distribution of the guide, for this process and those that it starts."""
    folder = install_guide(tmp_path_factory.mktemp("acme"))
    cached = (codec_named, formats)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
        for each in cached:
            each.cache_clear()
        codec_named("form")
        yield folder
    for each in cached:
        each.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_plimsoll"]:
        del sys.modules[name]


# --- a message codec --------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(counter=st.integers(0, 2**64 - 1), srv=TEXT, device=TEXT, kind=st.sampled_from(MessageKind), originator=TEXT)
def test_a_message_of_the_added_codec_is_read_as_it_was_written(counter, srv, device, kind, originator):
    message = Message(counter=counter, srv=srv, device=device, kind=kind, originator=originator)
    form = codec_named("form")
    assert form.read_message(form.encode(message)) == message


@given(st.binary(max_size=200))
def test_whatever_the_added_codec_is_given_it_reads_or_refuses(body):
    with suppress(MessageError):
        codec_named("form").read_message(body)


def test_a_codec_is_known_by_the_name_that_declarations_give_it(monkeypatch):
    with pytest.raises(ValueError, match=r"unknown message codec 'soap'; known: duis, form, plain"):
        codec_named("soap")
    monkeypatch.setattr(codec_named("form").__class__, "name", "another")
    codec_named.cache_clear()
    with pytest.raises(ExtensionError, match="the message codec 'form' calls itself 'another'"):
        codec_named("form")
    monkeypatch.undo()
    codec_named.cache_clear()


# --- a test run with a codec, an injector and a metric source that are added ------------------------------------------


def acme_site(programme, edited, url, status, **more):
    """The template's programme, its storefront spoken to in forms, and a real environment that uses what is added."""
    spoken = edited(programme, ("system.interfaces.shopping.protocol", "form"))
    nginx = MetricSource.model_validate({
        "source": "nginx", "options": {"url": status}, "part": "nginx", "every": "50 ms",
        "metrics": ["connections_count"],
    })  # fmt: skip
    told = {"injector": "threads", "injector_options": {"threads": 8}, "metrics": {"storefront": (nginx,)}} | more
    return spoken, entering(spoken, url).model_copy(update=told)


def test_a_test_runs_with_what_is_added_and_its_key_and_document_name_it(template, edited, acme):
    site = start_component(ComponentSpec(component="site", codec="form", routes=dict.fromkeys(("browse", "purchase"))))
    with site, serving(lambda _: (200, STATUS)) as nginx:
        programme, environment = acme_site(template.programme, edited, site.url, f"{nginx.url}/status")
        prepared = conduct(programme, "storefront.load", environment=environment)
        conducted = prepared.execute()
    assert conducted.state is RunState.FINISHED, conducted.reason
    document, results, rows = conducted.document, conducted.tables["results"], conducted.tables["infrastructure"]
    canonical(document)
    assert document["injector"]["kind"] == "threads, open loop"
    assert set(results.outcome) == {"ok"}
    assert (results.intended_us - document["start_us"]).tolist() == conducted.tables["arrivals"].offset_us.tolist()
    assert document["sampling"]["connections_count"]["parts"] == [{"part": "nginx", "host": ""}]
    own = rows[(rows.component == "storefront") & (rows.sub_component == "nginx")]
    assert set(own.value) == {3}
    inputs = prepared.planned.key["inputs"]
    assert inputs["environment"]["injector"] == {"options": {"threads": 8}}
    assert document["extensions"] == inputs["extensions"]
    assert {name: each["module"] for name, each in inputs["extensions"].items()} == {
        "plimsoll.injectors:threads": "acme_plimsoll.threads",
        "plimsoll.codecs:form": "acme_plimsoll.form",
        "plimsoll.metric_sources:nginx": "acme_plimsoll.nginx",
    }
    [digest] = {each["digest"] for each in inputs["extensions"].values()}  # they are in one package
    orders = conduct(programme, "orders.load", environment=environment.model_copy(update={"injector": "own"}))
    assert "extensions" not in orders.planned.key["inputs"]  # which nobody speaks to in forms
    plain = conduct(template.programme, "storefront.load")
    assert "extensions" not in plain.planned.key["inputs"]
    assert len(digest) == 64


def test_what_is_shipped_may_offer_in_a_codec_that_is_added(template, edited):
    site = start_component(ComponentSpec(component="site", codec="form", routes=dict.fromkeys(("browse", "purchase"))))
    with site:
        programme, environment = acme_site(template.programme, edited, site.url, "", injector="own", metrics={})
        conducted = conduct(programme, "storefront.load", environment=environment).execute()
    assert conducted.state is RunState.FINISHED
    assert set(conducted.tables["results"].outcome) == {"ok"}
    assert list(conducted.document["extensions"]) == ["plimsoll.codecs:form"]


# --- an injector ------------------------------------------------------------------------------------------------------

LOAD = Load.of(offset_us=[0, 10, 20], path=["p"] * 3, srv=["s"] * 3, kind=["request"] * 3, device=["d"] * 3)
TARGET = Target(urls={"p": "http://127.0.0.1:9"}, codec="form", timeout_us=1_000_000)


def rows(**change):
    sound_ = {
        "sequence": [0, 1, 2], "intended_us": [100, 110, 120], "ready_us": [100, 111, 125],
        "sent_us": [101, 111, NEVER], "done_us": [200, 300, 400], "status": [200, 500, 0], "bytes": [1, 2, 0],
        "outcome": [Outcome.OK, Outcome.ERROR, Outcome.REFUSED],
    }  # fmt: skip
    return {name: np.array(column, dtype=np.int64) for name, column in (sound_ | change).items()}


class Giving:
    """An injector that gives what it was told to, or raises it."""

    def __init__(self, gives):
        self.gives = gives

    def run(self, *_, **__):
        if isinstance(self.gives, Exception):
            raise self.gives
        return Injection(columns=self.gives, summary={})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sequence": [0, 2, 1]}, "one row for each of 3 messages"),
        ({name: column[:2] for name, column in rows().items()}, "one row for each of 3 messages"),
        ({"intended_us": [100, 110, 121]}, "other due times"),
        ({"sent_us": [99, 111, NEVER]}, "sent before it was taken up"),
        ({"done_us": [200, 110, 400]}, "done before it was sent"),
        ({"done_us": [200, 300, 119]}, "done before it was sent"),
        ({"outcome": [0, 1, 4]}, "an outcome that there is none of"),
    ],
)
def test_an_injection_that_is_none_of_its_load_is_refused(change, why):
    with pytest.raises(ExtensionError, match=why):
        Guarded(Giving(rows(**change)), "x").run(LOAD, TARGET)


def test_an_injection_in_other_columns_is_refused():
    for columns in ({}, rows() | {"bytes": np.zeros(3)}, rows() | {"more": rows()["bytes"]}):
        assert "other columns than sequence, intended_us" in misfit(LOAD, Injection(columns=columns, summary={}))


def test_a_sound_injection_is_given_on_and_what_the_injector_says_itself_too():
    assert Guarded(Giving(rows()), "x").run(LOAD, TARGET).columns["bytes"].tolist() == [1, 2, 0]
    empty = Load.of(offset_us=[], path=[], srv=[], kind=[], device=[])
    nothing = {name: np.empty(0, dtype=np.int64) for name in RESULTS}
    assert not misfit(empty, Injection(columns=nothing, summary={}))
    with pytest.raises(WorldError, match="nobody there"):
        Guarded(Giving(WorldError("nobody there")), "x").run(LOAD, TARGET)


def test_whatever_an_injector_fails_with_is_its_own_failure(template, edited, monkeypatch):
    with pytest.raises(ExtensionError, match=r"^x failed: KeyError: 'a'$"):
        Guarded(Giving(KeyError("a")), "x").run(LOAD, TARGET)
    programme, environment = acme_site(template.programme, edited, "http://127.0.0.1:9", "")
    for options, why in (({"threads": "many"}, "ValueError: invalid literal"), ({"threads": 0}, "ValueError")):
        chosen = environment.model_copy(update={"injector_options": options})
        with pytest.raises(ExtensionError, match=why) as caught:
            open_injector(chosen, programme.tests.profiles[0].type, on_start=print).run(LOAD, TARGET)
        assert "the injector 'threads' of acme-plimsoll 1.0" in str(caught.value)


# --- a metric source --------------------------------------------------------------------------------------------------


def nginx(**options):
    told = {"source": "nginx", "options": options, "every": "1 s", "host": "web-1", "metrics": ["connections_count"]}
    return MetricSource.model_validate(told)


def test_a_source_that_does_not_answer_leaves_a_gap_and_the_reason():
    answers = [(200, STATUS), (503, "no"), (200, "something else"), (200, STATUS)]
    with serving(lambda _: answers.pop(0)) as server, Watch("orders", [nginx(url=server.url)], {}) as watch:
        [scrape] = watch.scrapes.values()
        found = [scrape.read() for _ in range(4)]
        told = watch.as_json()
    seen = [("connections_count", 3, "count")]
    assert found == [seen, [], [], seen]
    assert (scrape.component, scrape.sub_component, scrape.host) == ("orders", "source", "web-1")
    [source] = told["sources"]
    assert {name: source[name] for name in ("of", "asked", "answered")} == {"of": "nginx", "asked": 4, "answered": 2}
    assert "NoneType" in source["failure"]


def test_a_source_that_cannot_be_opened_ends_the_test_before_its_load():
    with pytest.raises(
        ExtensionError, match=r"the metric source 'nginx' of acme-plimsoll 1.0 cannot be opened: KeyErr"
    ):
        open_source(nginx(), {})


def test_a_source_that_can_neither_be_read_nor_asked_is_none(monkeypatch):
    monkeypatch.setattr("acme_plimsoll.nginx.opened", lambda *_: 7)
    with pytest.raises(ExtensionError, match="gave what can neither be read nor asked: a int"):
        open_source(nginx(), {})


def test_metrics_that_were_not_declared_or_are_none_of_ours_are_not_recorded():
    reader = SimpleNamespace(read=lambda: {"connections_count": 1, "memory_bytes": 2, "mood": 3}, close=lambda: None)
    assert Scrape("orders", nginx(), reader).read() == [("connections_count", 1, "count")]


def test_a_source_may_be_asked_after_the_load(monkeypatch):
    asked = []

    def ask(start_us, end_us):
        asked.append((start_us, end_us))
        if len(asked) > 1:
            raise KeyError("gone")
        return Asked(rows=[(start_us, "connections_count", 5, "count")])

    historian = SimpleNamespace(ask=ask, close=lambda: asked.append("closed"))
    monkeypatch.setattr("acme_plimsoll.nginx.opened", lambda *_: historian)
    with Watch("orders", [nginx()], {}) as watch:
        assert watch.ask(1, 2) == [[1, "orders", "source", "web-1", "connections_count", 5, "count"]]
        assert watch.ask(1, 2) == []
        assert watch.as_json()["sources"][0]["failure"] == "'gone'"
    assert asked == [(1, 2), (1, 2), "closed"]


# --- a result format --------------------------------------------------------------------------------------------------

LOG = "#acme 1\n1000 1010 2000 browse 200\n1100 1100 1900 browse 503\nnonsense\n"


def test_a_file_of_the_added_format_is_recognised_and_every_line_accounted_for(tmp_path):
    (tmp_path / "log").write_text(LOG)
    source, account = Source(path=tmp_path / "log", name="log"), Account()
    format_ = recognise(source)
    assert format_.name == "acme-log"
    [samples] = format_.read(source, account)
    assert (samples.intended_us, samples.outcome) == ([1000, 1100], ["ok", "error"])
    assert account.accounted == account.total == 4
    assert account.as_json()["skipped"][0]["lines"] == [4]


def test_what_is_shipped_is_asked_too_and_first():
    assert [each.name for each in formats()] == [*SHIPPED[Point.RESULT_FORMATS], "acme-log"]


def test_a_format_that_breaks_is_told_as_its_own_failure(tmp_path):
    def read(source, account):
        yield None
        raise LookupError("line 7")

    broken = Installed(SimpleNamespace(name="x", recognises=lambda _: Sure(9), read=read))
    with pytest.raises(ExtensionError, match="the result format 'x' failed on the first bytes of a file: ValueError"):
        broken.recognises(b"")
    with pytest.raises(ExtensionError, match=r"the result format 'x' failed on log: LookupError: line 7"):
        list(broken.read(Source(path=tmp_path, name="log"), Account()))
    told = Installed(SimpleNamespace(name="x", recognises=lambda _: _raise(EvidenceError("its own words"))))
    with pytest.raises(EvidenceError, match="its own words"):
        told.recognises(b"")


def _raise(error):
    raise error


# --- an expectation ---------------------------------------------------------------------------------------------------


def test_an_added_expectation_stands_in_a_key_by_value_and_is_asked_in_plain_sql(template, tmp_path):
    settings = expectations_of(template.programme.model_copy(update={"expectations": ("narrow",)}))
    [entry] = settings["expectations"]
    assert entry["extension"]["distribution"] == "acme-plimsoll"
    [narrow] = expected(settings)
    assert narrow == expectation("narrow")
    assert expectations_of(template.programme) == {}
    latency = {"metric": "latency-p95", "unit": "us", "limit_unit": "us", "limit": 1000}
    cells = {"narrow": (450, 550), "wide": (300, 900), "lacking": (None, None)}
    rows = [sound(**latency, observation=name, lower=low, upper=high) for name, (low, high) in cells.items()]
    database = write([*rows, sound(observation="other")], tmp_path / "judged.duckdb")
    assert unmet(database, TABLE, [narrow]) == {"narrow": {"wide", "lacking"}}
    broken = Expectation(name="broken", condition="colour = 'red'", description="red")
    with pytest.raises(ExtensionError, match="the expectation 'broken' has no condition to be asked"):
        unmet(database, TABLE, [broken])


def test_an_expectation_must_be_one_and_of_that_name(monkeypatch):
    for other in (7, Expectation(name="other", condition="true", description="d")):
        monkeypatch.setattr("acme_plimsoll.narrow.NARROW", other)
        with pytest.raises(ExtensionError, match="the expectation 'narrow' is no Expectation of that name"):
            expectation("narrow")

"""Changes of capacity that a real system makes itself: told before the load, and taken back after it."""

import json
import threading
from contextlib import suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_execute import QUICK, conduct, entering, nothing_left_running

from catalog.declarations import CapacityPlan
from catalog.errors import WorldError
from catalog.runs import RunState
from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.scaling import changes_of, scaled_system

__all__ = ["nothing_left_running"]

PLAN = CapacityPlan.model_validate(
    {
        "load": "1.5", "begins_with": "0.5",
        "added": {"at": "20 min", "capacity": "1"}, "removed": {"at": "40 min", "capacity": "0.75"},
    }
)  # fmt: skip
CHANGES = [
    {"after_us": 0, "capacity": "0.5"},
    {"after_us": 1_000_000, "capacity": "1"},
    {"after_us": 2_000_000, "capacity": "0.75"},
]


@pytest.fixture
def scaler():
    """Takes plans, as a system's own means would; `status` is what it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.seen.append((self.path, json.loads(body)))
            self.send_response(server.status)
            self.end_headers()
            self.wfile.write(b"taken\n")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.status = [], 200
    server.url = f"http://127.0.0.1:{server.server_port}/capacity?of=shop"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_instants_are_those_of_the_test_as_it_is_conducted():
    assert changes_of(PLAN, Fraction(1200)) == CHANGES


def test_a_system_is_told_before_and_after_whatever_happens_in_between(scaler):
    with suppress(KeyError), scaled_system(scaler.url, CHANGES, {}) as told:
        assert told == {"scaled": {"told": scaler.url, "changes": CHANGES, "answer": "taken"}}
        raise KeyError
    path = "/capacity?of=shop"
    assert scaler.seen == [(path, {"changes": CHANGES}), (path, {"changes": []})]


def test_a_system_that_does_not_take_them_is_told_of_with_its_answer(scaler):
    scaler.status = 501
    with (
        pytest.raises(WorldError, match=r"did not take changes of capacity: it answered 501") as caught,
        scaled_system(scaler.url, CHANGES, {}),
    ):
        pytest.fail("nothing is offered then")
    assert "scaled_by" in caught.value.help()
    with (
        pytest.raises(WorldError, match=r"cannot be told of changes of capacity: connection refused"),
        scaled_system("http://127.0.0.1:9/", CHANGES, {}),
    ):
        pytest.fail("nor then")


def test_a_test_of_scaling_tells_a_real_system_and_its_document_says_so(template, edited, scaler, monkeypatch):
    """The key names who is told, where there is anything to be told; a load test tells nobody."""
    monkeypatch.setitem(QUICK, "scaling", 1_000_000)
    programme = edited(
        template.programme,
        ("tests.profiles.soak.type", "scaling"),
        ("tests.profiles.soak.scaling", PLAN.model_dump(mode="json")),
        ("tests.profiles.soak.duration", 3_600_000_000),
        ("requirements", [template.programme.requirements[0].model_dump(mode="json")]),
    )
    site = start_component(ComponentSpec(component="site", routes={"purchase": None}))
    with site:
        environment = entering(programme, site.url).model_copy(update={"scaled_by": {"orders": scaler.url}})
        prepared = conduct(programme, "orders.soak", environment=environment)
        conducted = prepared.execute()
        load = conduct(programme, "orders.load", environment=environment)
    assert conducted.state is RunState.FINISHED, conducted.reason
    assert conducted.document["scaled"]["changes"][0] == {"after_us": 0, "capacity": "0.5"}
    assert [len(body["changes"]) for _, body in scaler.seen] == [3, 0]
    assert prepared.planned.key["inputs"]["environment"]["scaled_by"] == scaler.url
    assert "scaled_by" not in load.planned.key["inputs"]["environment"]

"""Latency counts from the intended instant, and lateness from it to being taken up, before anything is recorded."""

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from expectations.statistics import Step
from expectations.verdicts import LATER
from tasks.arrivals import Arrivals
from tasks.course import Part, Turn
from tasks.execute import Step as Offered
from tasks.execute import _results_batches, came_of
from tasks.inject.files import NEVER, Outcome
from tasks.inject.injector import Injection
from tasks.volumes.model import traffic_labels

LIMIT, LATE = 500, 100
START = 1_700_000_000_000_000
TURN = Turn(part=Part.RAMP, multiple=Fraction(3, 2))


@pytest.fixture(scope="module")
def searching(template):
    """A profile that says of a step that it is offered within 100 us and carried within 500 us, so many answered."""
    found = next(each for each in template.programme.tests.profiles if each.ramp)

    def of(answered_ppm=960_000):
        answered = found.ramp.answered.model_copy(update={"value": answered_ppm})
        ramp = found.ramp.model_copy(update={"latency": LIMIT, "answered": answered})
        return found.model_copy(update={"lateness": LATE, "ramp": ramp})

    return of


def injection(*, ready=LATE, sent=LATE, done=LIMIT, outcome=Outcome.OK, count=20):
    """Messages a millisecond apart, each taken up, sent and done so long after it was due; NEVER: it was not."""
    intended = START + 1000 * np.arange(count)
    after = {"ready_us": ready, "sent_us": sent, "done_us": done}
    columns = {name: np.where(np.asarray(each) == NEVER, NEVER, intended + each) for name, each in after.items()}
    own = {"sequence": np.arange(count), "status": np.full(count, 200), "bytes": np.full(count, 9)}
    outcomes = np.broadcast_to(outcome, count)
    return Injection(columns={"intended_us": intended, "outcome": outcomes, **columns, **own}, summary={})


def came(offered, carried):
    return Step(multiple_ppm=1_500_000, offered=offered, carried=carried)


def failed(count, of=20):
    return [Outcome.ERROR] * count + [Outcome.OK] * (of - count)


@pytest.mark.parametrize(
    ("what", "wanted"),
    [
        ({}, came(True, True)),
        ({"ready": LATE + 1}, came(False, True)),
        ({"done": LIMIT + 1}, came(True, False)),
        ({"ready": 0, "sent": LIMIT, "done": LIMIT + 1}, came(True, False)),  # sent late, answered at once
        ({"ready": 0, "sent": LIMIT}, came(True, True)),
        ({"outcome": failed(2, 50), "count": 50}, came(True, True)),  # 96 % are answered
        ({"outcome": failed(1)}, came(True, False)),  # 95 % are
        ({"outcome": Outcome.REFUSED, "done": 0}, came(True, False)),
        ({"ready": [NEVER] + [0] * 199, "count": 200}, came(False, True)),
    ],
)
def test_a_step_is_timed_from_when_its_messages_were_due(searching, what, wanted):
    assert came_of(TURN, injection(**what), searching()) == wanted


def test_what_was_not_answered_ranks_later_than_any_answer(searching):
    lenient = searching(0)
    assert came_of(TURN, injection(outcome=failed(1)), lenient) == came(True, True)  # the 95th percentile is an answer
    assert came_of(TURN, injection(outcome=failed(2), done=0), lenient) == came(True, False)


def test_a_test_that_does_not_search_carries_every_step(searching):
    alone = searching().model_copy(update={"ramp": None})
    assert came_of(TURN, injection(outcome=Outcome.TIMEOUT, done=LATER - START), alone) == came(True, True)


def test_recorded_latency_is_from_the_intended_instant_and_nothing_where_a_time_is_not_known(template):
    (path, srv), *_ = traffic_labels(template.programme)
    count = 3
    arrivals = Arrivals(
        offset_us=1000 * np.arange(count), label=np.zeros(count, dtype=np.int64), device=np.arange(count),
        sequence=np.arange(count), follows=np.zeros(count, dtype=bool), labels=(f"{path}|{srv}|request",),
        window_us=3000,
    )  # fmt: skip
    taken = injection(ready=[7, 8, NEVER], sent=[60, NEVER, NEVER], done=[500, 700, NEVER], count=count)
    steps = [Offered(turn=TURN, first=0, arrivals=arrivals, injection=taken)]
    (rows,) = _results_batches(template.programme, {"run": "r", "component": "orders"}, steps)
    wanted = {
        "intended_us": [START, START + 1000, START + 2000], "ready_us": [START + 7, START + 1008, None],
        "sent_us": [START + 60, None, None], "done_us": [START + 500, START + 1700, None],
        "latency_us": [500, 700, None], "service_us": [440, None, None],
    }  # fmt: skip
    assert {name: [None if pd.isna(each) else each for each in rows[name]] for name in wanted} == wanted

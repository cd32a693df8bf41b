"""The alarm: the first sample beyond each limit in force is told, once, and nothing else is."""

from hypothesis import given
from hypothesis import strategies as st

from catalog.declarations import Metric, TestType
from tasks.alarm import Alarm, in_force
from tasks.sample import Sample


def sample(value, *, metric="memory_bytes", component="orders", at_us=1):
    return Sample(
        at_us=at_us, component=component, sub_component="process", host="h", metric=metric, value=value, unit="bytes"
    )


def memory(template):
    """What the template holds memory to, whose limit is 512 MiB."""
    (found,) = (each for each in template.programme.requirements if each.id == "memory")
    return found


def told_of(requirements, samples):
    found = []
    alarm = Alarm("orders", requirements, found.append)
    for each in samples:
        alarm(each)
    return found


@given(st.lists(st.integers(0, 2**30), max_size=20))
def test_the_first_sample_beyond_a_limit_is_told_and_no_other(template, values):
    required = memory(template)
    found = told_of([required], [sample(value, at_us=place) for place, value in enumerate(values)])
    beyond = [(place, value) for place, value in enumerate(values) if value > required.limit.value]
    assert [(each.at_us, each.value) for each in found] == beyond[:1]
    assert all((each.requirement, each.limit, each.unit) == ("memory", 512 * 2**20, "bytes") for each in found)


def test_each_requirement_is_told_for_itself_in_its_unit_and_only_of_the_component_under_test(template):
    first = memory(template)
    limit = first.limit.model_copy(update={"value": 900_000, "unit": "ppm"})
    cpu = first.model_copy(update={"id": "cpu", "metric": Metric.CPU_P95, "limit": limit})
    samples = [
        sample(2**40, component="host"),
        sample(2**40, component="injector"),
        sample(901, metric="cpu_permille"),
        sample(2**40, metric="queue_length"),
        sample(2**40),
        sample(2**41),
    ]
    assert [(each.requirement, each.value) for each in told_of([first, cpu], samples)] == [
        ("cpu", 901_000),
        ("memory", 2**40),
    ]


def test_what_is_in_force_depends_on_role_and_type_and_is_told_by_samples(template):
    programme = template.programme
    assert [each.id for each in in_force(programme, "orders", TestType.SOAK)] == [
        "memory"
    ]  # its growth no sample tells
    assert in_force(programme, "orders", TestType.STRESS) == []
    assert in_force(programme, "payments", TestType.LOAD) == []

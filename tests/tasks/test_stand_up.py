"""Standing up: for every planned test its component and stand-ins, and whole systems wired along the message paths."""

import re
import urllib.request
from decimal import Decimal

import pytest

from catalog.declarations import Emulated
from tasks.codecs import Flaw, Message, codec_named
from tasks.emulate.spec import (
    ANYBODY,
    ComponentSpec,
    Outage,
    OutageAnswer,
    OutageQueue,
    Overload,
    Pause,
    Scaling,
    ServiceDistribution,
    SlowStart,
)
from tasks.emulate.system import start_system
from tasks.labels import parted
from tasks.plan import phases_needed, plan_tests
from tasks.stand_up import STAND_INS, codecs_beyond, entry_codec, responses, specs_for_system, specs_for_test
from tasks.volumes.model import model_volumes
from tasks.volumes.streams import resolve_steps


@pytest.fixture(params=["template", "smets1"])
def programme(request):
    return request.getfixturevalue(request.param).programme


def planned_tests(programme):
    environment = programme.environment(programme.programme.default_environment)
    for phase in programme.programme.phases:
        volumes = {each: model_volumes(programme, each) for each in phases_needed(programme, phase.id)}
        yield from plan_tests(programme, phase.id, environment, volumes, occasion=phase.id)


def test_every_planned_test_gets_its_component_as_declared_and_stand_ins_that_answer_at_once(programme):
    environment = programme.environment(programme.programme.default_environment)
    tests = list(planned_tests(programme))
    assert tests
    for planned in tests:
        paths = sorted({parted(label)[0] for label in planned.key["inputs"]["volumes"]["messages"]})
        under_test, *stand_ins = specs_for_test(programme, environment, planned.component, paths)
        declared = environment.components[planned.component.id]
        assert (under_test.component, under_test.workers) == (planned.component.id, declared.workers)
        assert (under_test.service_us, under_test.seed) == (declared.service, environment.seed)
        assert under_test.codec == planned.key["inputs"]["interfaces"]["entry"]
        assert sorted(under_test.routes) == paths
        speaks = {spec.component: spec.codec for spec in stand_ins}
        serves = {spec.component: set(spec.routes) for spec in stand_ins}
        for path, hop in under_test.routes.items():
            assert (hop is None) == (planned.key["inputs"]["interfaces"]["beyond"][path] is None)
            assert hop is None or (speaks[hop] == under_test.next_codec[path] and path in serves[hop])
        for spec in stand_ins:
            assert spec.component.startswith(STAND_INS)
            assert (spec.workers, spec.service_us, spec.error_permille, spec.leak_bytes_per_message) == (0, 0, 0, 0)
            assert set(spec.routes.values()) == {None}


def test_the_dsp_is_tested_through_its_duis_gateway_with_stand_ins_for_both_codecs(smets1):
    dsp = smets1.programme.component("dsp")
    paths = ["smets1-bau", "smets1-alert", "non-device", "smets1-commissioning"]
    beyond = codecs_beyond(smets1.programme, dsp, paths)
    assert beyond == {
        "smets1-bau": "plain",
        "smets1-alert": "duis",
        "non-device": None,  # the last hop of its path
        "smets1-commissioning": None,
    }
    specs = specs_for_test(smets1.programme, smets1.programme.environment("rehearsal"), dsp, paths)
    assert {spec.component: spec.codec for spec in specs} == {
        "dsp": "duis", "stand-ins-plain": "plain", "stand-ins-duis": "duis",
    }  # fmt: skip


def test_a_declared_defect_reaches_the_component_under_test(smets1):
    programme = smets1.programme
    leaking = programme.environment("rehearsal-dco-leak")
    (dco, *_) = specs_for_test(programme, leaking, programme.component("dco"), ["smets1-critical"])
    assert dco.leak_bytes_per_message == 65_536
    failing = programme.environment("rehearsal-s1sp-ioc-failing")
    (s1sp, *_) = specs_for_test(programme, failing, programme.component("s1sp-ioc"), ["smets1-bau"])
    assert s1sp.error_permille == 200


def test_every_declared_behaviour_reaches_the_component_under_test(template, edited):
    path = "environments.rehearsal.components.orders"
    declared = Emulated.model_validate(
        {
            "workers": 6,
            "service": "32 ms",
            "distribution": "lognormal",
            "spread": "8 ms",
            "error_permille": 3,
            "leak_bytes": 5,
            "max_connections": 40,
            "overload": "collapse",
            "queue_limit": 50,
            "pause": {"every": "1 s", "length": "20 ms"},
            "slow_start": {"length": "2 s", "factor": Decimal("2.5")},
            "outages": [{"begins": "3 s", "length": "1 s", "answers": 503, "queue": "lost"}],
            "scaling": [{"at": "5 s", "workers": 12}],
            "refuses": ["unknown-srv"],
            "answers": "acknowledge",
            "alert_permille": 7,
        }
    )
    plain = Emulated(workers=6, service=32_000)
    assert all(
        getattr(declared, name) != getattr(plain, name)
        for name in Emulated.model_fields.keys() - {"workers", "service"}
    )
    programme = edited(
        template.programme,
        (path, declared.model_dump()),
        ("system.message_paths.purchase.acknowledged_by", ["orders"]),
        ("system.message_paths.purchase.responses_wrapped_in", ["Signed"]),
    )
    orders = programme.component("orders")
    user = "http://127.0.0.1:9"
    (spec, *_) = specs_for_test(programme, programme.environment("rehearsal"), orders, ["purchase"], receive=user)
    assert spec == ComponentSpec(
        component="orders",
        seed=spec.seed,
        routes=spec.routes,
        next_codec=spec.next_codec,
        workers=6,
        service_us=32_000,
        service_distribution=ServiceDistribution.LOGNORMAL,
        spread_us=8_000,
        error_permille=3,
        leak_bytes_per_message=5,
        max_connections=40,
        overload=Overload.COLLAPSE,
        queue_limit=50,
        pause=Pause(every_us=1_000_000, length_us=20_000),
        slow_start=SlowStart(length_us=2_000_000, factor_ppm=2_500_000),
        outages=(
            Outage(
                begins_us=3_000_000,
                length_us=1_000_000,
                answers=OutageAnswer.UNAVAILABLE,
                queue=OutageQueue.LOST,
            ),
        ),
        scaling=(Scaling(at_us=5_000_000, workers=12),),
        refuses=(Flaw.UNKNOWN_SRV,),
        acknowledges=("purchase",),
        receivers={ANYBODY: user},
        alert_permille=7,
        wrapping={"purchase": ("Signed",)},
    )


def test_how_a_component_acknowledges_is_in_its_key_only_where_it_does(template, edited):
    plain = template.programme
    acknowledges = ("system.message_paths.purchase.acknowledged_by", ["orders"])
    path = "environments.rehearsal.components.orders.answers"
    for programme, told in (
        (plain, {}),
        (edited(plain, acknowledges), {}),
        (edited(plain, acknowledges, (path, "acknowledge")), {"acknowledges": ["purchase"]}),
        (
            edited(plain, ("system.message_paths.purchase.responses_wrapped_in", ["A"])),
            {"wrapping": {"purchase": ["A"]}},
        ),
    ):
        orders, environment = programme.component("orders"), programme.environment("rehearsal")
        assert responses(programme, environment, orders, ["purchase"]) == told
    entered = environment.model_copy(update={"entries": {"orders": "http://127.0.0.1:9"}})
    assert "acknowledges" not in responses(programme, entered, orders, ["purchase"])


def test_a_whole_system_answers_later_only_to_a_receive_service_that_it_is_told_of(template, edited):
    programme = edited(
        template.programme,
        ("system.message_paths.purchase.acknowledged_by", ["orders"]),
        ("environments.rehearsal.components.orders.answers", "acknowledge"),
    )
    environment, user = programme.environment("rehearsal"), "http://127.0.0.1:9"
    for receive, told in (("", {}), (user, {ANYBODY: user})):
        specs = {spec.component: spec for spec in specs_for_system(programme, environment, "launch", receive)}
        assert {name: spec.acknowledges for name, spec in specs.items() if spec.acknowledges} == {
            "orders": ("purchase",)
        }
        assert specs["orders"].receivers == told


def test_alerts_whose_last_hop_is_a_user_go_to_the_receive_service(smets1):
    """Those to a user go there; whoever is no user, or has no receive service, is stood in for as before."""
    dsp, environment = smets1.programme.component("dsp"), smets1.programme.environment("rehearsal")
    paths, user = ["smets1-alert", "smets2-alert", "smets1-bau"], "http://127.0.0.1:9"
    under_test, *beyond = specs_for_test(smets1.programme, environment, dsp, paths, receive=user)
    assert {path: under_test.routes[path] for path in paths} == {
        "smets1-alert": user, "smets2-alert": user, "smets1-bau": "stand-ins-plain",
    }  # fmt: skip
    assert [spec.component for spec in beyond] == ["stand-ins-plain"]
    s1sp = smets1.programme.component("s1sp-ioc")
    under_test, *_ = specs_for_test(smets1.programme, environment, s1sp, ["smets1-alert"], receive=user)
    assert under_test.routes["smets1-alert"] != user


def test_behaviour_that_is_not_declared_is_not_in_an_execution_s_key(template):
    orders = template.programme.environment("rehearsal").components["orders"]
    assert orders.model_dump(mode="json") == {
        "workers": 6, "service": 32_000, "distribution": "constant", "error_permille": 0, "leak_bytes": 0,
    }  # fmt: skip
    paused = orders.model_copy(update={"overload": "reject", "queue_limit": 9})
    assert paused.model_dump(mode="json") == {
        **orders.model_dump(mode="json"), "overload": "reject", "queue_limit": 9,
    }  # fmt: skip


def test_where_no_interface_is_declared_messages_are_plain(template, edited):
    bare = edited(template.programme, ("system.interfaces", []))
    assert entry_codec(bare, "orders") == "plain"
    assert codecs_beyond(bare, bare.component("orders"), ["purchase"]) == {"purchase": "plain"}


def walked(specs, start, path):
    """The components that a message of `path` passes from `start` on."""
    hop = start
    while hop is not None:
        yield hop
        hop = specs[hop].routes[path]


def test_a_whole_system_is_wired_along_every_path_of_its_phase(programme):
    environment = programme.environment(programme.programme.default_environment)
    for phase in programme.programme.phases:
        specs = {spec.component: spec for spec in specs_for_system(programme, environment, phase.id)}
        served = set(phase.components)
        for path in programme.system.message_paths:
            ways = [
                [step.id for step in resolve_steps(programme, path, cohort)][1:]
                for cohort in programme.volumes.cohorts
                if not any(step.startswith("role:") for step in path.steps) or served & set(cohort.served_by)
            ]
            starts = [way for way in ways if way[0] in specs and path.id in specs[way[0]].routes]
            assert [list(walked(specs, way[0], path.id)) for way in starts[:1]] == starts[:1] != []
        for spec in specs.values():
            for path, hop in spec.routes.items():
                assert hop is None or spec.next_codec[path] == specs[hop].codec


def test_a_phase_is_served_by_its_own_service_provider(smets1):
    environment = smets1.programme.environment("rehearsal")
    for phase, own in (("ioc", "s1sp-ioc"), ("moc", "s1sp-moc-mds"), ("foc", "s1sp-foc")):
        components = {spec.component for spec in specs_for_system(smets1.programme, environment, phase)}
        assert {name for name in components if name.startswith("s1sp")} == {own}


def test_a_path_that_no_component_of_the_phase_serves_is_not_wired(template, edited):
    programme = edited(template.programme, ("programme.phases.pilot.components", ["storefront"]))
    specs = specs_for_system(programme, programme.environment("rehearsal"), "pilot")
    assert {spec.component: set(spec.routes) for spec in specs} == {"storefront": {"browse"}}


def test_components_without_an_emulation_answer_at_once(template):
    environment = template.programme.environment("rehearsal")
    specs = {spec.component: spec for spec in specs_for_system(template.programme, environment, "pilot")}
    assert set(specs) == {"storefront", "orders", "payments"}
    assert (specs["orders"].workers, specs["orders"].service_us) == (6, 32_000)
    assert (specs["payments"].workers, specs["payments"].service_us) == (0, 0)


def answered(component):
    """Messages that a component has answered so far, by its own count."""
    with urllib.request.urlopen(component.metrics_url, timeout=10) as response:  # noqa: S310  # a process of this test
        text = response.read().decode()
    return int(re.search(r"^plimsoll_messages_answered_total\{.*\} (\d+)$", text, re.MULTILINE)[1])


def send(component, path, codec):
    """Offers one message of `path`; the answer, as its codec reads it."""
    body = codec_named(codec).encode(Message(counter=1, srv="place-order", device="0000000000000001"))
    request = urllib.request.Request(component.path_url(path), data=body, method="POST")  # noqa: S310  # likewise
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  # likewise
        return codec_named(codec).read_answer(response.status, response.read())


def test_a_message_goes_end_to_end_through_the_whole_system(template):
    environment = template.programme.environment("rehearsal")
    with start_system(specs_for_system(template.programme, environment, "pilot")) as system:
        assert send(system["storefront"], "purchase", "plain").ok
        assert {name: answered(each) for name, each in system.components.items()} == {
            "storefront": 1, "orders": 1, "payments": 1,
        }  # fmt: skip
        assert send(system["storefront"], "browse", "plain").ok
        assert (answered(system["storefront"]), answered(system["payments"])) == (2, 1)


def test_a_message_crosses_from_one_codec_to_another_and_back(smets1):
    """Commissioning reaches the DSP from within, by a plain interface, and the DSP's process speaks DUIS."""
    environment = smets1.programme.environment("rehearsal")
    specs = specs_for_system(smets1.programme, environment, "ioc")
    with start_system(specs) as system:
        assert send(system["s1sp-ioc"], "smets1-commissioning", "plain").ok
        assert (answered(system["cp"]), answered(system["dsp"])) == (1, 1)

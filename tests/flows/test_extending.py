"""A team's own extensions in a whole phase: used, named in the evidence, and told of where they change or fail."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from distributions import install_guide
from phases import Bench, make_shop

from catalog.runs import test_runs
from catalog.workspace import Workspace
from flows.run import finished

TEST = "pilot.storefront.load"


@pytest.fixture(scope="module")
def acme(tmp_path_factory, surroundings):
    """The template's programme, which uses an injector, a codec and an expectation of the guide, and one test of it."""
    folder = tmp_path_factory.mktemp("acme")
    site = install_guide(folder / "site")
    bench = make_shop(folder, {**surroundings, "PYTHONPATH": str(site)})
    bench.edit("system.yaml", "to: storefront, protocol: plain", "to: storefront, protocol: form")
    bench.edit("requirements.yaml", "\nrequirements:\n", "\nexpectations: [narrow]\nrequirements:\n")
    added = "    injector: threads\n    injector_options: {threads: 24}\n    connections: 16\n"
    bench.edit("environments.yaml", "    connections: 16\n", added)
    bench.edit("environments.yaml", "{load: 6 s,", "{load: 5 s,")
    ended = bench.run("run", "pilot", "--tests", TEST, "--json")
    assert ended.status == 1, ended.stderr  # the other planned tests are not run
    return bench


def decided(acme: Bench):
    """What `plan` says of the test."""
    return next(each for each in acme.run("plan", "pilot", "--json").answer["tests"] if each["test"] == TEST)


def changed(acme: Bench, tmp_path) -> tuple[Bench, Path]:
    """The same workspace, with a copy of the installed distribution that may be changed."""
    site = tmp_path / "site"
    shutil.copytree(acme.environ["PYTHONPATH"], site)
    return replace(acme, environ={**acme.environ, "PYTHONPATH": str(site)}), site


def test_a_phase_runs_with_what_is_added_and_says_so(acme):
    workspace = Workspace.open(acme.home)
    [run] = test_runs(workspace.ledger.records())
    key, document = workspace.store.document(run.key), workspace.store.document(run.record.output("run"))
    assert document["injector"]["kind"] == "threads, open loop"
    assert list(document["extensions"]) == ["plimsoll.codecs:form", "plimsoll.injectors:threads"]
    assert key["inputs"]["extensions"] == document["extensions"]
    [observed] = (record for record in workspace.ledger.records() if record.stage == "observe")
    [expectation] = workspace.store.document(observed.key)["inputs"]["expectations"]
    assert expectation["extension"]["digest"] == document["extensions"]["plimsoll.codecs:form"]["digest"]
    found = {each["requirement"]: each["verdict"] for each in acme.observations("pilot") if each["test"] == TEST}
    assert found["answered"] == "proved"
    assert decided(acme)["decision"] == "complete"


def test_what_is_pure_is_computed_again_with_the_same_extensions(acme):
    ended = acme.run("reperform", "--only", "plan", "--only", "measure", "--json")
    assert ended.status == 0, ended.stdout


def test_a_phase_that_is_settled_is_run_again_where_an_extension_is_another(acme, tmp_path):
    """Nothing is left to do only as long as the code that did it is the same."""
    [asked] = [record.key for record in Workspace.open(acme.home).ledger.records() if record.stage == "report"]
    key = Workspace.open(acme.home).store.document(asked)["inputs"]
    assert list(key["extensions"]) == [
        "plimsoll.codecs:form", "plimsoll.expectations:narrow", "plimsoll.injectors:threads"
    ]  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(acme.environ["PYTHONPATH"])
        assert finished(acme.home, acme.catalog, "pilot", key["asked"]) is not None
        _, site = changed(acme, tmp_path)
        patch.syspath_prepend(str(site))
        (site / "acme_plimsoll" / "narrow.py").write_text("")
        assert finished(acme.home, acme.catalog, "pilot", key["asked"]) is None


def test_one_changed_byte_of_an_extension_executes_the_test_anew_and_is_named(acme, tmp_path):
    bench, site = changed(acme, tmp_path)
    with (site / "acme_plimsoll" / "__init__.py").open("a") as module:
        module.write("\n")
    planned = decided(bench)
    assert planned["decision"] == "execute"
    inputs = [each["input"] for each in planned["reasons"]]
    assert "extensions.plimsoll.injectors:threads.digest" in inputs
    again = bench.run("reperform", "--only", "plan", "--json")
    [plan] = again.answer["not_comparable"]
    assert plan["result"] == "not comparable"
    assert "plimsoll.codecs:form was acme-plimsoll 1.0" in plan["why"]


def test_a_broken_extension_is_told_in_one_line_and_records_nothing(acme, tmp_path):
    bench, site = changed(acme, tmp_path)
    (site / "acme_plimsoll" / "threads.py").write_text("import a_module_that_nobody_has\n")
    before = Workspace.open(acme.home).ledger.head()
    listed = bench.run("extensions", "--json")
    faults = {each["name"]: each["fault"] for each in listed.answer["extensions"]}
    assert listed.status == 3
    assert "No module named 'a_module_that_nobody_has'" in faults.pop("threads")
    assert set(faults.values()) == {""}
    ended = bench.run("run", "pilot", "--tests", TEST)
    assert ended.status == 3
    assert "the injector 'threads' of acme-plimsoll 1.0 cannot be loaded" in ended.stderr
    assert "Traceback" not in ended.stderr
    started = [record.kind for record in Workspace.open(acme.home).ledger.records()[before.sequence :]]
    assert "started" not in started


def test_a_missing_extension_is_a_fault_of_the_declaration_with_its_place(acme):
    bench = replace(acme, environ={name: value for name, value in acme.environ.items() if name != "PYTHONPATH"})
    ended = bench.run("check", "--json")
    assert ended.status == 2
    found = {(Path(each["file"]).name, each["code"], each["message"]) for each in ended.answer["faults"]}
    assert found == {
        ("system.yaml", "unknown-message-codec", "there is no message codec 'form'"),
        ("requirements.yaml", "unknown-expectation", "there is no expectation 'narrow'"),
        ("environments.yaml", "unknown-injector", "there is no injector 'threads'"),
    }
    assert all(each["line"] > 1 for each in ended.answer["faults"])

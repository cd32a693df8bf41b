"""Extension points: what is installed is found, named by the digest of its code, and told plainly where it fails."""

import importlib
import sys

import pytest
from distributions import install

from catalog.extensions import SHIPPED, ExtensionError, Point, added, installed, load, names, other, used

CODECS = Point.CODECS


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that stands first on the path; what is imported from it is forgotten again."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def codec(site, *, name="acme", module="acme_codec", text="MADE = object()\n", entry="acme", target=None, **more):
    files = {f"{module.replace('.', '/')}.py": text}
    install(site, name, files, {"plimsoll.codecs": {entry: target or f"{module}:MADE"}}, **more)
    importlib.invalidate_caches()


def test_every_shipped_name_is_where_the_table_says():
    for point in (Point.INJECTORS, Point.RESULT_FORMATS, Point.METRIC_SOURCES, Point.CODECS):
        assert SHIPPED[point]
        for name in SHIPPED[point]:
            assert callable(load(point, name))
        assert names(point)[: len(SHIPPED[point])] == list(SHIPPED[point])


def test_points_are_told_in_words():
    assert [point.what for point in Point] == [
        "injector", "result format", "metric source", "message codec", "expectation"
    ]  # fmt: skip


def test_what_is_installed_is_found_and_named_by_distribution_version_and_digest(site):
    assert "acme" not in names(CODECS)
    codec(site, version="1.2")
    sys.path[:] = [*sys.path, "/nowhere"]  # another path is looked at anew
    assert names(CODECS) == [*SHIPPED[CODECS], "acme"]
    assert load(CODECS, "acme") is sys.modules["acme_codec"].MADE
    found = added(CODECS, "acme")
    assert str(found) == "the message codec 'acme' of acme 1.2"
    [(name, identity)] = used({CODECS: ["plain", "acme", "acme"]}).items()
    assert name == "plimsoll.codecs:acme"
    assert {part: identity[part] for part in ("distribution", "version", "module")} == {
        "distribution": "acme", "version": "1.2", "module": "acme_codec"
    }  # fmt: skip
    assert len(identity["digest"]) == 64
    assert [(each, fault) for each, fault in installed() if each.distribution == "acme"] == [(found, "")]


def test_what_is_shipped_is_no_extension(site):
    assert used({CODECS: ["plain", "duis"], Point.INJECTORS: ["own"]}) == {}
    assert added(CODECS, "plain") is None


@pytest.mark.parametrize("module", ["acme_codec", "acme_pack.codec", "acme_space.pack.codec"])
def test_the_digest_is_of_all_code_that_comes_with_the_module_and_of_nothing_else(site, module):
    """A module, a package, and a package in a namespace, of which another distribution has a part too."""
    package = {"acme_pack.codec": "acme_pack", "acme_space.pack.codec": "acme_space/pack"}.get(module, "")
    if package:
        (site / package).mkdir(parents=True)
        (site / package / "__init__.py").write_text("")
        (site / package / "helper.py").write_text("ONE = 1\n")
    codec(site, module=module)
    extension = added(CODECS, "acme")
    first = extension.digest()
    (site / "beside.py").write_text("")
    (site / "acme_space" / "other").mkdir(parents=True)
    (site / "acme_space" / "other" / "__init__.py").write_text("")
    load(CODECS, "acme")  # which leaves compiled code behind
    assert extension.digest() == first
    changed = site / package / ("helper.py" if package else "acme_codec.py")
    changed.write_text(changed.read_text() + "\n")
    assert extension.digest() != first
    with pytest.raises(ExtensionError, match=r"acme 1\.0 has changed on the disk since it was loaded"):
        extension.as_json()


@pytest.mark.parametrize(
    ("text", "target", "why"),
    [
        ("import nowhere_to_be_found\n", None, "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("1 / 0\n", None, "ZeroDivisionError: division by zero"),
        ("def broken(:\n", None, "SyntaxError"),
        ("OTHER = 1\n", None, "has no attribute 'MADE'"),
        ("MADE = 1\n", "acme_gone:MADE", "there is no module acme_gone"),
    ],
)
def test_what_cannot_be_imported_is_told_with_its_distribution_and_in_one_line(site, text, target, why):
    codec(site, text=text, target=target)
    with pytest.raises(ExtensionError, match=r"the message codec 'acme' of acme 1\.0 cannot be loaded") as caught:
        load(CODECS, "acme")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "acme" in caught.value.help()
    assert int(caught.value.status) == 3
    [fault] = [fault for each, fault in installed() if each.distribution == "acme"]
    assert why in fault


def test_an_unknown_name_is_told_with_those_that_are_like_it():
    for ask in (lambda: load(CODECS, "plian"), lambda: used({CODECS: ["plian"]})):
        with pytest.raises(ExtensionError, match="there is no message codec 'plian'") as caught:
            ask()
        assert "Did you mean 'plain'?" in caught.value.help()


def test_of_two_that_offer_the_same_name_neither_is_used(site):
    codec(site)
    codec(site, name="other", module="other_codec", version="2")
    offered = "several distributions offer the message codec 'acme'"
    for ask in (lambda: load(CODECS, "acme"), lambda: used({CODECS: ["acme"]})):
        with pytest.raises(ExtensionError, match=offered) as caught:
            ask()
        assert {"acme 1.0", "other 2"} == set(str(caught.value).rpartition(": ")[2].split(", "))
    assert [fault.startswith(offered) for each, fault in installed() if each.name == "acme"] == [True, True]


def test_a_distribution_that_stands_twice_on_the_path_is_the_first_of_them(site, tmp_path_factory, monkeypatch):
    older = tmp_path_factory.mktemp("older")
    codec(site, version="2")
    codec(older, version="1")
    monkeypatch.setattr(sys, "path", [*sys.path, str(older)])
    assert added(CODECS, "acme").version == "2"


def test_a_shipped_name_is_not_taken_over(site):
    codec(site, entry="plain")
    assert load(CODECS, "plain").__module__ == "tasks.codecs.plain"
    assert names(CODECS) == list(SHIPPED[CODECS])
    [fault] = [fault for each, fault in installed() if each.distribution == "acme"]
    assert fault == "the name is that of one that is shipped, which is used"


def test_what_evidence_names_is_held_against_what_is_installed(site):
    name = "plimsoll.codecs:acme"
    codec(site)
    then = added(CODECS, "acme").as_json()
    assert other(name, then) == ""
    assert other(name, {**then, "version": "0.9"}) == f"acme 1.0 ({then['digest'][:16]})"
    assert other("plimsoll.codecs:gone", then) == "it is not installed"
    assert "is not a valid Point" in other("plimsoll.moods:acme", then)
    codec(site, name="second", module="second_codec")
    sys.path[:] = [*sys.path, "/elsewhere"]
    assert other(name, then).startswith("several distributions offer")

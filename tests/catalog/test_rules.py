"""Rule versions: whole numbers, one for each stage, all of them in a phase's key."""

from catalog import rules


def test_every_stage_has_a_version_that_a_key_can_hold():
    versions = rules.versions()
    stages = {
        "declare",
        "volumes",
        "volume_model",
        "plan",
        "arrivals",
        "execute",
        "measure",
        "observe",
        "compose",
        "intake",
        "incident",
        "issue",
        "rely",
        "report",
        "trend",
    }
    assert set(versions) == stages
    assert all(type(version) is int and version >= 1 for version in versions.values())


def test_a_raised_version_shows_in_the_key_of_a_phase(monkeypatch):
    monkeypatch.setattr(rules, "MEASURE", rules.MEASURE + 1)
    assert rules.versions()["measure"] == rules.MEASURE

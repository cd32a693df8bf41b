"""The exit criteria held against facts: each state is reached, and each reason tells its counts."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.declarations import CriterionKind, Programme, Standing
from catalog.reading import Catalogue, read_programme
from expectations.exit_criteria import (
    assumptions_in_use,
    exclusions_in_force,
    hold_criteria,
    numbers_in_use,
)
from expectations.held import Held, State
from expectations.verdicts import Verdict
from tests.shops import write_shop

ENDS = ("executed", "relied", "received", "waived", "blocked", "failed", "not run")


@pytest.fixture(scope="module")
def programme(tmp_path_factory: pytest.TempPathFactory) -> Programme:
    folder: Path = tmp_path_factory.mktemp("catalogue") / "shop"
    write_shop(folder)
    return read_programme(folder)


def hold(
    programme: Programme, kind: CriterionKind, *, verdicts: tuple[str, ...] = (), ends: tuple[str, ...] = ()
) -> Held:
    held = hold_criteria(programme, "launch", verdicts=verdicts, ends=ends)
    return next(each for each in held if each.criterion.kind is kind)


@pytest.mark.parametrize(
    ("verdicts", "state", "told"),
    [
        ((), State.CANNOT_BE_TOLD, "No observation was made."),
        (("proved", "proved"), State.MET, "2 of 2 observations are proved."),
        (("proved", "not proved"), State.NOT_MET, "1 of 2 observations are proved; 1 not proved, 0 inconclusive."),
        (("inconclusive",), State.NOT_MET, "0 of 1 observations are proved; 0 not proved, 1 inconclusive."),
    ],
)
def test_observations_proved(programme: Programme, verdicts: tuple[str, ...], state: State, told: str) -> None:
    held = hold(programme, CriterionKind.OBSERVATIONS_PROVED, verdicts=verdicts)
    assert (held.state, held.told()) == (state, told)


@pytest.mark.parametrize(
    ("ends", "state", "told"),
    [
        ((), State.CANNOT_BE_TOLD, "No test was planned."),
        (("executed", "relied", "received"), State.MET, "3 of 3 planned tests ended with a result."),
        (("executed", "waived"), State.MET, "1 of 2 planned tests ended with a result, 1 waived."),
        (
            ("failed", "not run", "not run"),
            State.NOT_MET,
            "0 of 3 planned tests ended with a result, 1 failed, 2 not run.",
        ),
        (("executed", "blocked"), State.NOT_MET, "1 of 2 planned tests ended with a result, 1 blocked."),
    ],
)
def test_tests_ended(programme: Programme, ends: tuple[str, ...], state: State, told: str) -> None:
    held = hold(programme, CriterionKind.TESTS_ENDED, ends=ends)
    assert (held.state, held.told()) == (state, told)


def test_exclusions_stated_or_silent(programme: Programme) -> None:
    held = hold(programme, CriterionKind.EXCLUSIONS_STATED)
    assert held.state is State.MET
    assert held.counts["exclusions"] == len(exclusions_in_force(programme, "launch"))
    silent = programme.model_copy(update={"scope": programme.scope.model_copy(update={"exclusions": ()})})
    told = hold(silent, CriterionKind.EXCLUSIONS_STATED)
    assert told.state is State.NOT_MET
    assert "payments" in told.told()


def test_an_exclusion_of_another_phase_is_not_in_force(programme: Programme) -> None:
    first = programme.scope.exclusions[0].model_copy(update={"phases": ("pilot",)})
    scope = programme.scope.model_copy(update={"exclusions": (first,)})
    assert exclusions_in_force(programme.model_copy(update={"scope": scope}), "launch") == []
    assert exclusions_in_force(programme.model_copy(update={"scope": scope}), "pilot") == [first]


def test_numbers_agreed_only_when_every_number_in_use_is(programme: Programme) -> None:
    held = hold(programme, CriterionKind.NUMBERS_AGREED)
    assert held.state is State.NOT_MET
    assert held.counts["numbers"] == sum(held.counts[standing] for standing in Standing)
    agreed = hold(_agreed(programme), CriterionKind.NUMBERS_AGREED)
    assert agreed.state is State.MET
    assert agreed.counts["agreed"] == held.counts["numbers"]


def test_numbers_that_nothing_uses_do_not_count(programme: Programme) -> None:
    spare = programme.assumptions[0].model_copy(update={"id": "spare", "standing": Standing.UNVERIFIED})
    kept = programme.model_copy(update={"assumptions": (*programme.assumptions, spare)})
    assert "spare" not in assumptions_in_use(kept)
    assert numbers_in_use(kept, "launch") == numbers_in_use(programme, "launch")


def test_numbers_in_use_follow_the_phase_whose_volumes_are_the_target(programme: Programme) -> None:
    forecasts = {
        number.id.partition("/")[0] for number in numbers_in_use(programme, "pilot") if number.kind == "forecast"
    }
    assert forecasts == {"pilot", "launch"}


@pytest.mark.parametrize(
    "left", ["forecast", "migration plan", "daily profile", "assumption", "requirement", "conduct"]
)
def test_a_number_of_any_kind_that_is_not_agreed_is_told(smets1: Catalogue, left: str) -> None:
    agreed = _agreed(smets1.programme)
    assert {number.standing for number in numbers_in_use(agreed, "foc")} == {Standing.AGREED}
    told = [number for number in numbers_in_use(smets1.programme, "foc") if number.kind == left]
    assert told
    assert {number.standing for number in told} & {Standing.PROPOSED, Standing.UNVERIFIED}
    assert len({number.id for number in told}) == len(told)


def test_only_the_plans_of_the_phases_in_use_count(smets1: Catalogue) -> None:
    plans = [number for number in numbers_in_use(smets1.programme, "ioc") if number.kind == "migration plan"]
    assert {number.id.partition("/")[0] for number in plans} == {"ioc", "foc"}


def test_people_alone_tell_what_is_theirs(programme: Programme) -> None:
    held = hold(programme, CriterionKind.BOARD_DECIDED, verdicts=("proved",), ends=("executed",))
    assert held.state is State.CANNOT_BE_TOLD
    assert held.reason


def test_a_criterion_of_another_phase_is_left_out(programme: Programme) -> None:
    kinds = {each.criterion.kind for each in hold_criteria(programme, "pilot", verdicts=(), ends=())}
    assert CriterionKind.NUMBERS_AGREED not in kinds


@settings(derandomize=True, deadline=None, max_examples=60)
@given(verdicts=st.lists(st.sampled_from([*Verdict]), max_size=9), ends=st.lists(st.sampled_from(ENDS), max_size=9))
def test_every_reason_is_told_in_full_and_met_means_met(
    programme: Programme, verdicts: list[Verdict], ends: list[str]
) -> None:
    for held in hold_criteria(programme, "launch", verdicts=verdicts, ends=ends):
        assert "{" not in held.told()
        assert all(f"{{{name}}}" in held.reason for name in held.counts if held.state is not State.MET)
        if held.criterion.kind is CriterionKind.OBSERVATIONS_PROVED and held.state is State.MET:
            assert set(verdicts) == {Verdict.PROVED}
        if held.criterion.kind is CriterionKind.TESTS_ENDED and held.state is State.MET:
            assert not {"blocked", "failed", "not run"} & set(ends)


def _agreed(programme: Programme) -> Programme:
    def each(entries: tuple) -> tuple:  # type: ignore[type-arg]  # any declared entries with a standing
        return tuple(entry.model_copy(update={"standing": Standing.AGREED}) for entry in entries)

    tests = programme.tests.model_copy(update={"profiles": each(programme.tests.profiles)})
    volumes = programme.volumes.model_copy(update={"profiles": each(programme.volumes.profiles)})
    return programme.model_copy(
        update={
            "assumptions": each(programme.assumptions),
            "forecasts": each(programme.forecasts),
            "migration_plans": each(programme.migration_plans),
            "volumes": volumes,
            "requirements": each(programme.requirements),
            "tests": tests,
        }
    )

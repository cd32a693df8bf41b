"""The version of every stage's rules, in one place.

A version is raised by hand whenever a stage would give something else for the same inputs: it stands in the stage's
key, so the stage is then done again. A golden test per stage fails when output changes without it.
"""

DECLARE = 2
VOLUMES = 2
VOLUME_MODEL = 2
PLAN = 3
ARRIVALS = 2
EXECUTE = 3
MEASURE = 4
OBSERVE = 5
RELY = 2
COMPOSE = 2
INTAKE = 6
REPORT = 8
TREND = 1
INCIDENT = 1
ISSUE = 1


def versions() -> dict[str, int]:
    """All of them by name, as a phase's key holds them."""
    return {name.lower(): value for name, value in globals().items() if name.isupper()}

"""Infrastructure metrics of other tools in the table's units: permille, bytes, count, microseconds, all whole.

A value is rounded half-even where the unit is coarser than what the tool wrote; the original keeps it. Names that the
measurements know (cpu_permille, memory_bytes, connections_count) are given where a tool means just that; every other
metric keeps the tool's own name behind the tool's.
"""

from decimal import Decimal

from tasks.intake.format import Capability, Gives, Loop, Start
from tasks.intake.numbers import whole

CAPABILITY = Capability(
    gives=Gives.INFRASTRUCTURE,
    resolution_us=1_000_000,
    latency_from=Start.UNKNOWN,
    loop=Loop.UNKNOWN,
    percentiles="of samples",
)

CPU, MEMORY, CONNECTIONS = "cpu_permille", "memory_bytes", "connections_count"
KIB = 1024


def by_name(name: str) -> tuple[str, Decimal]:
    """The unit of a metric named as Prometheus has it, and the factor into it."""
    base = name.removesuffix("_total")
    for ending, unit, factor in (
        ("bytes", "bytes", Decimal(1)),
        ("milliseconds", "us", Decimal(1000)),
        ("microseconds", "us", Decimal(1)),
        ("seconds", "us", Decimal(1_000_000)),
        ("permille", "permille", Decimal(1)),
        ("ratio", "permille", Decimal(1000)),
        ("percent", "permille", Decimal(10)),
    ):
        if base == ending or base.endswith(f"_{ending}"):
            return unit, factor
    return "count", Decimal(1)


def by_column(tool: str, column: str, value: Decimal) -> tuple[str, int | None, str]:
    """Name, value and unit of a column as sysstat's tools name them: %, kB, and all else counted."""
    if column.startswith("%"):
        return f"{tool}_{column[1:]}_permille", whole(value, 10), "permille"
    if column.startswith("kb") or column.lower().endswith("kb/s"):
        return f"{tool}_{column}_bytes", whole(value, KIB), "bytes"
    return f"{tool}_{column}", whole(value), "count"


def used_permille(idle_percent: Decimal) -> int | None:
    """What is not idle, in permille of all cores together."""
    return whole(Decimal(100) - idle_percent, 10) if 0 <= idle_percent <= 100 else None

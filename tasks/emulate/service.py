"""Service times: drawn from the declared distribution, the same sequence for the same seed."""

import math
import random
from collections.abc import Callable
from typing import assert_never

from tasks.emulate.spec import ComponentSpec, ServiceDistribution


def service_times(spec: ComponentSpec) -> Callable[[], int]:
    """Draws the next service time, in nanoseconds."""
    mean_ns, spread_ns = spec.service_us * 1000, spec.spread_us * 1000
    draw = random.Random(f"{spec.seed}:service")  # noqa: S311 - a simulation, not a secret
    if not mean_ns:
        return lambda: 0
    match spec.service_distribution:
        case ServiceDistribution.CONSTANT:
            return lambda: mean_ns
        case ServiceDistribution.EXPONENTIAL:
            return lambda: int(draw.expovariate(1 / mean_ns))
        case ServiceDistribution.UNIFORM:
            return lambda: draw.randint(mean_ns - spread_ns, mean_ns + spread_ns)
        case ServiceDistribution.LOGNORMAL:
            variance = math.log1p((spread_ns / mean_ns) ** 2)
            middle, sigma = math.log(mean_ns) - variance / 2, math.sqrt(variance)
            return lambda: int(draw.lognormvariate(middle, sigma))
        case _:
            assert_never(spec.service_distribution)

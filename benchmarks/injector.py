"""How late the injector is and what a message costs it: `python benchmarks/injector.py [seconds]`, by hand.

Offers DUIS requests at fixed rates to an emulated stand-in on the same machine, and prints one JSON document: lateness
(ready - intended), the wait for a connection (sent - ready), latency, in µs, and CPU time per message of both sides.
Lateness at the 99th percentile on a shared machine is the machine's own stalls: compare runs on a quiet one.
"""

import json
import sys

import numpy as np
import psutil

from tasks.emulate.spec import ComponentSpec
from tasks.emulate.system import start_component
from tasks.inject.injector import Column, Load, OwnInjector, Target

_RATES = (1000, 2000)


def _quantiles(values: Column) -> dict[str, int]:
    ordered = np.sort(values)
    return {f"p{permille / 10:g}": int(ordered[len(ordered) * permille // 1000]) for permille in (500, 900, 990, 999)}


def _measure(per_second: int, seconds: int) -> dict[str, object]:
    count = per_second * seconds
    load = Load.of(
        offset_us=np.arange(count) * 1_000_000 // per_second,
        path=["p"] * count,
        srv=["4.1.1"] * count,
        kind=["request"] * count,
        device=[f"meter-{number % 1000}" for number in range(count)],
    )
    with start_component(ComponentSpec(component="stand-in", codec="duis", routes={"p": None})) as component:
        injection = OwnInjector().run(load, Target(urls={"p": component.url}, codec="duis", connections=64))
        times = psutil.Process(component.pid).cpu_times()
    columns = injection.columns
    return {
        "per_second": per_second,
        "messages": count,
        "ok": injection.summary["ok"],
        "lateness_us": _quantiles(columns["ready_us"] - columns["intended_us"]),
        "connection_wait_us": _quantiles(columns["sent_us"] - columns["ready_us"]),
        "latency_us": _quantiles(columns["done_us"] - columns["intended_us"]),
        "injector_cpu_us_per_message": injection.summary["cpu_us"] // count,
        "component_cpu_us_per_message": int((times.user + times.system) * 1_000_000) // count,
    }


def main() -> None:
    """Measure each rate in turn."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    print(json.dumps([_measure(rate, seconds) for rate in _RATES], indent=2))


if __name__ == "__main__":
    main()

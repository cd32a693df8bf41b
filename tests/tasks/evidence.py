"""Test runs made up for tests: a run document, and results and infrastructure as they would have been recorded."""

from pathlib import Path

import numpy as np

from catalog.declarations import Requirement
from tasks.parquet import frame, table_bytes

START = 1_700_000_000_000_000
WINDOW = 12_000_000
SECOND = 1_000_000


def run_document(**changes):
    document = {
        "run": "ioc/ioc.dsp.load/1",
        "test": "ioc.dsp.load",
        "phase": "ioc",
        "component": "dsp",
        "role": "dsp",
        "type": "load",
        "name": "load",
        "seed": 7,
        "blocks": 30,
        "window_us": WINDOW,
        "start_us": START,
        "timeout_us": 30 * SECOND,
        "lateness_limit_us": 100_000,
        "compression": "1",
        "rate": "1",
        "target": {"messages": 1500},
        "steps": [],
        "definition": {},
        "released": 0,
        "compared": [],
        "level_index": 1,
        "sampling_interval_us": 100_000,
        "unreachable": "",
    }
    return document | changes


def results(count=1500, *, run="ioc/ioc.dsp.load/1", latency_us=None, late_us=50, window_us=WINDOW, **changes):
    """`count` messages spread over the window, five SRVs in turn; `changes` replace whole columns."""
    intended = START + np.arange(count) * window_us // count
    latency = np.full(count, 40_000) if latency_us is None else np.asarray(latency_us)
    columns = {
        "run": [run] * count,
        "sequence": range(count),
        "component": ["dsp"] * count,
        "path": ["bau"] * count,
        "srv": [f"s{number % 5}" for number in range(count)],
        "kind": ["request"] * count,
        "traffic": ["BAU"] * count,
        "expect": ["ok"] * count,
        "intended_us": intended,
        "ready_us": intended + late_us,
        "sent_us": intended + late_us + 10,
        "done_us": intended + latency,
        "latency_us": latency,
        "service_us": latency - late_us - 10,
        "status": [200] * count,
        "outcome": ["ok"] * count,
        "bytes": [900] * count,
    }
    return frame("results", columns | changes)


def infrastructure(*, run="ioc/ioc.dsp.load/1", samples=120, growth=0, component="dsp", keep=slice(None)):
    """A sample every 100 ms of CPU (10 to 20 % of a core), memory (50 MB and `growth` bytes a sample), connections."""
    at = (START + np.arange(samples) * 100_000)[keep]
    count = len(at)
    values = {
        "cpu_permille": (100 + np.arange(samples) * 37 % 100)[keep],
        "memory_bytes": (50_000_000 + np.arange(samples) * growth)[keep],
        "connections_count": np.full(count, 33),
    }
    units = {"cpu_permille": "permille", "memory_bytes": "bytes", "connections_count": "count"}
    return frame(
        "infrastructure",
        {
            "run": [run] * 3 * count,
            "at_us": np.tile(at, 3),
            "component": [component] * 3 * count,
            "sub_component": ["process"] * 3 * count,
            "host": ["here"] * 3 * count,
            "metric": np.repeat(list(values), count),
            "value": np.concatenate(list(values.values())),
            "unit": np.repeat(list(units.values()), count),
        },
    )


def write(folder: Path, name: str, rows) -> Path:
    path = folder / f"{name}-{len(list(folder.iterdir()))}.parquet"
    path.write_bytes(table_bytes(name, rows))
    return path


def requirement(metric, limit, *, name="", groups=(), within=None, types=("load", "stress", "soak")):
    return Requirement(
        id=name or metric,
        title=metric,
        metric=metric,
        limit=limit,
        within=within,
        scope={"roles": ["dsp"], "types": list(types), "groups": list(groups)},
        standing="proposed",
        source="a test",
        owner="a test",
    )

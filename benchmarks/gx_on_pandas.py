"""Great Expectations on pandas, holding results against limits: `python benchmarks/gx_on_pandas.py RESULTS.parquet`.

The same 24 requirements that `benchmarks/measuring.py` judges by, as anybody would write them with the library's own
expectations: percentiles of latency and the share answered, of everything and of four groups of SRVs. It knows neither
intended time nor intervals, so it does less. Prints seconds as JSON, libraries imported before.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ["GX_ANALYTICS_ENABLED"] = "false"

SECOND_US = 1_000_000


def main(path: Path) -> None:
    """Reads the file, validates, and prints what it took."""
    import great_expectations as gx
    import pandas as pd

    begun, busy = time.perf_counter(), time.process_time()
    rows = pd.read_parquet(path, engine="fastparquet", columns=["srv", "outcome", "latency_us"])
    rows["group"] = rows["srv"].astype(str).str.slice(3).astype(int) % 5
    context = gx.get_context(mode="ephemeral")
    definition = context.data_sources.add_pandas("results").add_dataframe_asset("rows")
    batch = definition.add_batch_definition_whole_dataframe("all")
    suite = gx.ExpectationSuite(name="requirements")
    for group in (None, 0, 1, 2, 3):
        where = {} if group is None else {"row_condition": f"group == {group}", "condition_parser": "pandas"}
        for share in (0.50, 0.95, 0.99):
            ranges = {"quantiles": [share], "value_ranges": [[None, SECOND_US]]}
            suite.add_expectation(
                gx.expectations.ExpectColumnQuantileValuesToBeBetween(
                    column="latency_us", quantile_ranges=ranges, allow_relative_error=False, **where
                )
            )
        suite.add_expectation(
            gx.expectations.ExpectColumnMaxToBeBetween(column="latency_us", max_value=SECOND_US, **where)
        )
        if group != 3:  # 24 in all
            suite.add_expectation(
                gx.expectations.ExpectColumnValuesToBeInSet(column="outcome", value_set=["ok"], mostly=0.99, **where)
            )
    found = batch.get_batch({"dataframe": rows}).validate(suite)
    wrong = [each for each in found.results if each.exception_info.get("raised_exception")]
    if wrong or len(found.results) != 24:
        raise SystemExit(f"{len(found.results)} results, {len(wrong)} raised: {wrong[:1]}")
    spent = {"s": round(time.perf_counter() - begun, 2), "cpu_s": round(time.process_time() - busy, 2)}
    most = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print(json.dumps({**spent, "held": len(found.results), "memory_mib": int(most) // 1024}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

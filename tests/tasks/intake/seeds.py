"""One small file for every format, from which damaged ones are made: by chance, and by the coverage-guided fuzzer."""

import json
import struct

from files import SAMPLES

from tasks.intake.recognise import formats

STATED = {"value_unit": "us", "timezone": "", "time_unit": "ms", "started": "2026-11-24T00:35:00Z"}
MAPPING = {"sent": "timeStamp", "elapsed": "elapsed", "label": "label"}

JTL = b"timeStamp,elapsed,label,responseCode,threadName,success\n" + b'1795480000000,12,"a ""b"", c",200,T 1,true\n' * 5
XML = (
    b'<?xml version="1.0"?><testResults version="1.2">'
    + b'<httpSample t="5" ts="1795480000000" lb="a" s="true" rc="200"><sample t="1" ts="1" lb="b"/></httpSample>' * 5
    + b"</testResults>"
)
K6 = b"metric_name,timestamp,metric_value,name,status\n" + b"http_req_duration,1795480000,1.500000,a,200\n" * 5
K6J = b'{"metric":"http_req_duration","type":"Point","data":{"time":"2026-11-24T00:35:00Z","value":1,"tags":{}}}\n' * 5
SUMMARY = json.dumps({"metrics": {"http_req_duration": {"med": 1.5, "p(95)": 3}, "http_reqs": {"count": 5}}}).encode()
GATLING = b"RUN\ta\tb\t1795480000000\t \t3.11\nREQUEST\tg\tn\t1795480000000\t1795480000005\tOK\t \n" * 5
PROMETHEUS = json.dumps(
    {"status": "success", "data": {"resultType": "matrix", "result": [
        {"metric": {"__name__": "x_bytes", "instance": "h"}, "values": [[1795480000.5, "12"], [1795480001, "NaN"]]}]}}
).encode()  # fmt: skip
EXPOSED = b'# TYPE a counter\na{b="c"} 1 1795480000000\na 2\n'
SADF = b"# hostname;interval;timestamp;CPU;%user;%idle\nh;1;2026-11-24 00:35:00 UTC;-1;10.5;80.25\n" * 3
SAR = b"Linux 6.1 (h) \t11/24/2026 \t_x86_64_\t(2 CPU)\n\n12:00:01 AM CPU %user %idle\n12:00:02 AM all 1.00 90.00\n" * 3
VMSTAT = (
    b"procs -----------memory---------- ---swap-- -----io---- -system-- ------cpu----- -----timestamp-----\n"
    b" r  b   swpd   free   buff  cache   si   so    bi    bo   in   cs us sy id wa st                 UTC\n"
    + b" 1  0      0 100000   2000 300000    0    0     1     2  100  200  5  3 92  0  0 2026-11-24 00:35:00\n"
    * 3
)
NMON = (
    b"AAA,host,h\nCPU_ALL,CPU Total h,User%,Sys%,Wait%,Idle%\nZZZZ,T0001,00:35:00,24-NOV-2026\nCPU_ALL,T0001,1,2,3,94\n"
)
WATCH = json.dumps(
    {"Label": "CPUUtilization", "Datapoints": [
        {"Timestamp": "2026-11-24T00:35:00Z", "Average": 12.5, "Unit": "Percent"}]}
).encode()  # fmt: skip
WATCH_CSV = b"Full label,CPUUtilization\nLabel,CPUUtilization\n2026/11/24 00:35:00,12.5\n"
SEEDS = {
    "jmeter-csv": JTL, "jmeter-xml": XML, "k6-csv": K6, "k6-json": K6J, "k6-summary": SUMMARY, "gatling-text": GATLING,
    "prometheus-range": PROMETHEUS, "prometheus-text": EXPOSED, "sadf": SADF, "sar": SAR, "vmstat": VMSTAT,
    "nmon": NMON, "cloudwatch-json": WATCH, "cloudwatch-csv": WATCH_CSV, "mapped": JTL,
    "sadf-json": b'{"sysstat":{"hosts":[{"nodename":"h","statistics":[{"timestamp":{"date":"2026-11-24",'
                 b'"time":"00:35:00","utc":1},"cpu-load":[{"cpu":"all","user":1.0,"idle":90.5}]}]}]}}',
    "gatling-binary": b"\0" + struct.pack(">i", 4) + b"3.13\0" + struct.pack(">i", 1) + b"a\0"
                      + struct.pack(">q", 1795480000000) + b"\0" * 12
                      + b"\1" + struct.pack(">iii", 0, 1, 1) + b"n\0" + struct.pack(">iiBi", 1, 2, 1, 2) + b"\0\0\0\0",
}  # fmt: skip
SEEDS["jmeter-statistics"] = json.dumps(
    {"Total": {"sampleCount": 5, "errorCount": 1, "meanResTime": 50.5, "pct1ResTime": 90.9}}
).encode()
SEEDS["gatling-statistics"] = json.dumps(
    {"type": "GROUP", "name": "All Requests", "stats": {
        "name": "All Requests", "numberOfRequests": {"total": "5", "ok": 4, "ko": 1}, "minResponseTime": {"total": 1},
        "percentiles1": {"total": 4}, "percentiles3": {"total": "-"}},
     "contents": {"req_a": {"type": "REQUEST", "name": "a", "stats": {"numberOfRequests": {"total": 5, "ko": 1}}}}}
).encode()  # fmt: skip
SEEDS["locust"] = (SAMPLES / "locust_stats.csv").read_bytes()
for _file in sorted(SAMPLES.iterdir()):
    for _format in formats():
        if _format.recognises(_file.read_bytes()[:65536]) > 1:
            SEEDS.setdefault(_format.name, _file.read_bytes()[:6000])


def stated(name):
    return {**STATED, **({"columns": MAPPING} if name == "mapped" else {})}

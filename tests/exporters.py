"""Servers on loopback that expose metrics as real exporters do, and answer range queries as Prometheus does."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

NODE_EXPORTER = """\
# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.
# TYPE node_cpu_seconds_total counter
node_cpu_seconds_total{cpu="0",mode="idle"} 86243.74
node_cpu_seconds_total{cpu="0",mode="iowait"} 18.4
node_cpu_seconds_total{cpu="0",mode="system"} {system}
node_cpu_seconds_total{cpu="0",mode="user"} 2102.63
node_cpu_seconds_total{cpu="1",mode="idle"} 86301.11
node_cpu_seconds_total{cpu="1",mode="system"} 598.27
node_cpu_seconds_total{cpu="1",mode="user"} 2098.9
# HELP node_disk_written_bytes_total The total number of bytes written successfully.
# TYPE node_disk_written_bytes_total counter
node_disk_written_bytes_total{device="sda"} {written}
node_disk_written_bytes_total{device="dm-0"} 9.99999999e+08
# HELP node_filesystem_avail_bytes Filesystem space available to non-root users in bytes.
# TYPE node_filesystem_avail_bytes gauge
node_filesystem_avail_bytes{device="/dev/sda1",fstype="ext4",mountpoint="/"} 8.142303232e+09
node_filesystem_avail_bytes{device="tmpfs",fstype="tmpfs",mountpoint="/run"} 2.05475840e+08
# HELP node_netstat_Tcp_CurrEstab Statistic TcpCurrEstab.
# TYPE node_netstat_Tcp_CurrEstab untyped
node_netstat_Tcp_CurrEstab 231
# HELP node_memory_MemAvailable_bytes Memory information field MemAvailable_bytes.
# TYPE node_memory_MemAvailable_bytes gauge
node_memory_MemAvailable_bytes NaN
"""

PROCESS_EXPORTER = """\
# HELP namedprocess_namegroup_memory_bytes number of bytes of memory in use
# TYPE namedprocess_namegroup_memory_bytes gauge
namedprocess_namegroup_memory_bytes{groupname="orders",memtype="resident"} 1.34217728e+08
namedprocess_namegroup_memory_bytes{groupname="orders",memtype="virtual"} 9.663676416e+09
namedprocess_namegroup_memory_bytes{groupname="say \\"hi\\" {a} b",memtype="resident"} 4096
# HELP namedprocess_namegroup_open_filedesc number of open file descriptors for this group
# TYPE namedprocess_namegroup_open_filedesc gauge
namedprocess_namegroup_open_filedesc{groupname="orders"} 412.5
# HELP namedprocess_namegroup_cpu_seconds_total Cpu user usage in seconds
# TYPE namedprocess_namegroup_cpu_seconds_total counter
namedprocess_namegroup_cpu_seconds_total{groupname="orders",mode="system"} 12.25
namedprocess_namegroup_cpu_seconds_total{groupname="orders",mode="user"} {user}
"""


@dataclass
class Exporter:
    """A running server: `answer` gives status and body for a path; `seen` are the requests' paths and tokens.

    The body of a redirect is where to.
    """

    url: str
    answer: Callable[[str], tuple[int, str]]
    seen: list[tuple[str, str | None]] = field(default_factory=list)


@contextmanager
def serving(answer: Callable[[str], tuple[int, str]], tls: ssl.SSLContext | None = None) -> Iterator[Exporter]:
    """A server on loopback; what a handler of it raises ends that connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            exporter.seen.append((self.path, self.headers.get("Authorization")))
            status, body = exporter.answer(self.path)
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body.encode())))
            if 300 <= status < 400:
                self.send_header("Location", body)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    exporter = Exporter(url=f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}", answer=answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield exporter
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def prometheus(series: Callable[[str, float], dict[str, str | None]]) -> Callable[[str], tuple[int, str]]:
    """Answers range queries as `/api/v1/query_range` does: for each label value and instant, a value or none."""

    def answer(path: str) -> tuple[int, str]:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        if urlsplit(path).path != "/prefix/api/v1/query_range":
            return 404, "no such page"
        if asked["query"] == "broken(":
            error = {"status": "error", "errorType": "bad_data", "error": "parse error: unclosed left parenthesis"}
            return 400, json.dumps(error)
        start, end, step = (round(float(asked[name]) * 1000) for name in ("start", "end", "step"))
        assert (end - start) // step < 11_000, "exceeded maximum resolution of 11,000 points per timeseries"
        values: dict[str, list[list[object]]] = {}
        for at in range(start, end + 1, step):
            for label, value in series(asked["query"], at / 1000).items():
                if value is not None:
                    values.setdefault(label, []).append([at / 1000, value])
        result = [{"metric": {"pod": label}, "values": points} for label, points in values.items()]
        return 200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})

    return answer

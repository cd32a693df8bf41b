"""The system under test: nginx in front of a small HTTP service, which keeps its goods and orders in PostgreSQL.

    python service.py                 until Ctrl-C
    python service.py --free-ports    the same, after writing ports that are free now into environments.yaml

It needs nginx and PostgreSQL (Debian: `apt install nginx postgresql`) and runs in Plimsoll's own Python environment.
Where it listens is what environments.yaml declares. All that it writes is in a temporary folder, which goes with it.

Nothing here is emulated: `Shop` is an HTTP service as a team would write one, `Figures` what its exporters would tell.
To test your own system, throw this file away, and declare your own entries.
"""

import argparse
import asyncio
import ctypes
import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

HERE = Path(__file__).resolve().parent
WORKERS = 4
"""Connections to the database, each of which serves one request at a time: what capacity 1 means."""

PRODUCTS = 2_000
SCHEMA = """
    CREATE TABLE products (id integer PRIMARY KEY, title text NOT NULL, stock integer NOT NULL);
    CREATE TABLE orders (
        id bigserial PRIMARY KEY, product integer NOT NULL REFERENCES products, customer text NOT NULL
    );
    CREATE INDEX ON orders (customer);
    INSERT INTO products SELECT id, 'product ' || md5(id::text), 1000000 FROM generate_series(0, 1999) AS id;
    ANALYZE;
"""
QUERIES = {
    "view-product": "SELECT title, stock FROM products WHERE id = $1",
    "search": "SELECT count(*) FROM products WHERE title LIKE '%' || $1::integer || '%'",
    "order-status": "SELECT max(id) FROM orders WHERE customer = $1",
}
"""What each kind of message asks the database; `place-order` is a transaction of its own."""

STATISTICS = """
    SELECT numbackends AS backends, xact_commit AS commits_total, blks_read AS blocks_read_total
    FROM pg_stat_database WHERE datname = 'postgres'
"""


# --- the HTTP service -------------------------------------------------------------------------------------------------


class Shop:
    """The service. A message is one line: `counter kind srv device originator` (docs/exchange.md, `plain`)."""

    def __init__(self, pool):
        self._pool = pool
        self._free = Workers(WORKERS)

    async def __call__(self, scope, receive, send):
        """An ASGI application: messages below /paths/, and the capacity that it is to have at /capacity."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            event = await receive()
            body, more = body + event.get("body", b""), event.get("more_body", False)
        try:
            status, text = await self._answer(scope["path"], body)
        except Exception as error:  # a service answers whatever happens to it
            status, text = 500, f"{type(error).__name__}: {error}"
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text.encode()))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": text.encode()})

    async def _answer(self, path, body):
        if path == "/capacity":
            return self._free.follow(json.loads(body)["changes"])
        if not path.startswith("/paths/"):
            return 404, "no such page\n"
        counter, _, srv, device, _ = (unquote(word) for word in body.decode().split())
        self._free.begin()
        async with self._free:
            return await self._serve(srv, device, int(counter))

    async def _serve(self, srv, customer, counter):
        product = counter % PRODUCTS
        if srv == "place-order":
            async with self._pool.acquire() as database, database.transaction():
                await database.execute("UPDATE products SET stock = stock - 1 WHERE id = $1", product)
                order = await database.fetchval(
                    "INSERT INTO orders (product, customer) VALUES ($1, $2) RETURNING id", product, customer
                )
            return 200, f"order {order}\n"
        if srv not in QUERIES:
            return 422, f"there is no service {srv}\n"
        asked = customer if srv == "order-status" else product
        return 200, f"{await self._pool.fetchrow(QUERIES[srv], asked)}\n"


class Workers:
    """So many requests are served at once; the number follows a plan, whose instants count from the next request."""

    def __init__(self, number):
        self._free = asyncio.Semaphore(number)
        self._number = self._wanted = number
        self._plan = []

    def follow(self, changes):
        """Keeps a plan; an empty one brings all workers back."""
        self._plan = [(int(each["after_us"]) / 1e6, float(each["capacity"])) for each in changes]
        if not self._plan:
            self._become(1.0)
        return 200, f"{len(self._plan)} changes of {self._number} workers\n"

    def begin(self):
        """Sets the plan going, once."""
        plan, self._plan = self._plan, []
        for after_s, capacity in plan:
            asyncio.get_running_loop().call_later(after_s, self._become, capacity)

    def _become(self, capacity):
        self._wanted = max(1, round(WORKERS * capacity))
        while self._number < self._wanted:
            self._number += 1
            self._free.release()

    async def __aenter__(self):
        await self._free.acquire()

    async def __aexit__(self, *_):
        if self._number > self._wanted:  # one worker fewer from now on
            self._number -= 1
        else:
            self._free.release()


async def serve(port, database):
    """The service, until its standard input ends: whoever started it is gone then."""
    import asyncpg
    import uvicorn

    async with asyncpg.create_pool(
        host=database, user="shop", database="postgres", min_size=WORKERS, max_size=WORKERS
    ) as pool:
        await pool.execute(SCHEMA)
        server = uvicorn.Server(uvicorn.Config(Shop(pool), host="127.0.0.1", port=port, log_level="warning"))
        told = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        told.add_done_callback(lambda _: setattr(server, "should_exit", True))
        await server.serve()
    os._exit(0)  # a thread may still be reading what will never come


# --- what exporters tell ----------------------------------------------------------------------------------------------


class Figures:
    """CPU time, memory and open files of each part, nginx's and PostgreSQL's own figures; for Prometheus to scrape."""

    def __init__(self, processes, nginx, database):
        self._processes, self._database = processes, database
        self._nginx = HTTPConnection(nginx, timeout=2)
        self._families = {}
        self._known = {part: {} for part in processes}
        self._loop = asyncio.new_event_loop()
        self._asking = None
        self._lock = threading.Lock()
        self._text, self._begun = "", 0.0

    def text(self):
        """The text exposition format. Whoever asks while figures are taken gets those that are taken next."""
        asked = time.monotonic()
        with self._lock:
            if self._begun < asked:
                self._begun = time.monotonic()
                lines = [line for part in self._processes for line in self._of(part)]
                lines += [f"nginx_connections_active {self._connections()}"]
                lines += [f"postgresql_{name} {value}" for name, value in self._statistics().items()]
                self._text = "\n".join([*lines, ""])
            return self._text

    def _of(self, part):
        import psutil

        cpu, memory, handles = self._known[part], 0, 0
        for process in self._family(part):
            try:
                times = process.cpu_times()
                cpu[process.pid, process.create_time()] = times.user + times.system
                memory += process.memory_info().rss - process.memory_info().shared
                handles += process.num_fds()
            except psutil.Error:  # it has just ended: what it had used is known
                continue
        yield f'process_cpu_seconds_total{{part="{part}"}} {sum(cpu.values())}'
        yield f'process_memory_bytes{{part="{part}"}} {memory}'
        yield f'process_open_fds{{part="{part}"}} {handles}'

    def _family(self, part):
        """The part's process and those below it, looked for once a second: that goes over every process there is."""
        import psutil

        found, until = self._families.get(part, ((), 0.0))
        if time.monotonic() >= until:
            parent = psutil.Process(self._processes[part].pid)
            found = [parent, *parent.children(recursive=True)]
            self._families[part] = found, time.monotonic() + 1
        return found

    def _connections(self):
        self._nginx.request("GET", "/status")
        return re.search(rb"Active connections: (\d+)", self._nginx.getresponse().read()).group(1).decode()

    def _statistics(self):
        import asyncpg

        async def ask():
            if self._asking is None:
                self._asking = await asyncpg.connect(host=self._database, user="shop", database="postgres")
            return dict(await self._asking.fetchrow(STATISTICS))

        return self._loop.run_until_complete(ask())

    def close(self):
        """Asks no more."""
        with self._lock:
            if self._asking is not None:
                self._asking.terminate()
            self._nginx.close()
            self._loop.close()


class Exporter(BaseHTTPRequestHandler):
    """Answers every GET with the figures."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """See the class."""
        with suppress(ConnectionError):  # whoever asked has given up
            self._answer(self.server.figures.text().encode())

    def _answer(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        """Says nothing."""


# --- starting and ending it -------------------------------------------------------------------------------------------

NGINX = """
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream shop {{ server {shop}; keepalive 32; }}
    server {{
        listen {front};
        location /paths/ {{
            proxy_pass http://shop;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
        location = /status {{ stub_status; }}
    }}
}}
"""


def main():
    """Starts PostgreSQL, the service, nginx and the exporter, says so, and ends them on Ctrl-C or SIGTERM."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--free-ports", action="store_true", help="write free ports into environments.yaml first")
    options.add_argument("--serve", nargs=2, metavar=("PORT", "FOLDER"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.serve:
        asyncio.run(serve(int(given.serve[0]), given.serve[1]))
        return
    if given.free_ports:
        write_free_ports()
    front, shop, exporter = places()
    with ExitStack() as stack:
        folder, account = stack.enter_context(scratch()), unprivileged()
        data = Path(folder) / "data"
        run(
            account, program("initdb"), "-D", data, "-U", "shop", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"
        )
        sockets = ["-c", "log_min_messages=fatal", "-c", "listen_addresses=", "-c", f"unix_socket_directories={folder}"]
        database = stack.enter_context(Started(account, signal.SIGINT, program("postgres"), "-D", data, *sockets))
        database.until(Path(folder, ".s.PGSQL.5432").exists)
        port = shop.rpartition(":")[2]
        service = stack.enter_context(
            Started({}, signal.SIGTERM, sys.executable, HERE / "service.py", "--serve", port, folder)
        )
        service.until(lambda: answers(shop))
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(NGINX.format(folder=folder, front=front, shop=shop))
        nginx = stack.enter_context(
            Started(account, signal.SIGTERM, program("nginx"), "-p", folder, "-e", "stderr", "-c", configuration)
        )
        nginx.until(lambda: answers(front))
        parts = {"nginx": nginx.process, "api": service.process, "database": database.process}
        server = ThreadingHTTPServer(("127.0.0.1", int(exporter.rpartition(":")[2])), Exporter)
        server.figures = Figures(parts, front, folder)
        stack.callback(server.figures.close)
        stack.callback(server.server_close)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stack.callback(server.shutdown)
        print(
            f"ready: nginx at http://{front}, the service at http://{shop}, figures at http://{exporter}/metrics",
            flush=True,
        )
        wait(parts)


class Started:
    """A process that ends with this one: by `ending`, and if it does not within 10 s, at once."""

    def __init__(self, account, ending, *command):
        self._ending = ending
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
            preexec_fn=end_with_parent, start_new_session=True, cwd="/", **account,
        )  # fmt: skip

    def until(self, is_there):
        """Returns once it is there. SystemExit where it ends first, or takes a minute."""
        due = time.monotonic() + 60
        while not is_there():
            if self.process.poll() is not None or time.monotonic() > due:
                sys.exit(f"{Path(self.process.args[0]).name} did not start: what it said stands above")
            time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.send_signal(self._ending)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def end_with_parent():
    """In the child: Linux ends it when whoever started it is gone, however that came (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def wait(parts):
    """Until a signal comes, or a part ends by itself, which is an error."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    while not ended.wait(0.5):
        for name, process in parts.items():
            if process.poll() is not None:
                sys.exit(f"{name} ended unexpectedly, with status {process.returncode}")


def places():
    """Where nginx, the service and the exporter listen, as host:port, from environments.yaml."""
    import yaml

    [machine] = yaml.safe_load((HERE / "environments.yaml").read_text(encoding="utf-8"))["environments"][:1]
    urls = machine["entries"]["front"], machine["entries"]["shop"], machine["prometheus"]["front"][0]["url"]
    return [urlsplit(url).netloc for url in urls]


def write_free_ports():
    """Puts ports that nobody listens on now into environments.yaml, in place of those that stand there."""
    file = HERE / "environments.yaml"
    text = file.read_text(encoding="utf-8")
    with ExitStack() as stack:
        for old in places():
            free = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            text = text.replace(f"http://{old}", f"http://127.0.0.1:{free}")
    file.write_text(text, encoding="utf-8")


def answers(place):
    """Whether anything accepts connections there."""
    host, _, port = place.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


def unprivileged():
    """Whom PostgreSQL and nginx run as: PostgreSQL refuses to be root."""
    if os.getuid():
        return {}
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    sys.exit("this runs as root, and there is neither an account 'postgres' nor 'nobody' to run PostgreSQL as")


class scratch(tempfile.TemporaryDirectory):  # noqa: N801 - used as a function
    """A temporary folder that the unprivileged account may write to."""

    def __init__(self):
        super().__init__(prefix="plimsoll-web-", ignore_cleanup_errors=True)
        account = unprivileged()
        if account:
            os.chown(self.name, account["user"], account["group"])


def run(account, *command):
    """A command, to its end. SystemExit with what it said where it fails."""
    ended = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, cwd="/", check=False, **account
    )
    if ended.returncode:
        sys.exit(f"{Path(command[0]).name} failed: {ended.stderr}")


def program(name):
    """Where a program is; Debian keeps PostgreSQL's own out of PATH. SystemExit where it is not installed."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    found = found or max(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=None)
    if found is None:
        sys.exit(f"'{name}' is not installed: on Debian, apt install nginx postgresql")
    return found


if __name__ == "__main__":
    main()

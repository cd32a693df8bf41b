"""A real Chromium, driven over its debugging protocol: pages from disk, keys, sizes, pictures, and its complaints."""

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-port=0", "--force-device-scale-factor=1", "--hide-scrollbars",
)  # fmt: skip


class Tab:
    """One page. `complaints` are its errors and warnings, `asked` the addresses that it asked for."""

    def __init__(self, socket: ClientConnection, session: str) -> None:
        self._socket, self._session, self._sent = socket, session, 0
        self.complaints: list[str] = []
        self.asked: list[str] = []

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command of the protocol, and its answer; what happens meanwhile is noted."""
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": parameters, "sessionId": self._session}
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._sent:
                assert "error" not in answer, answer
                return dict(answer["result"])
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        told = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                self.complaints.append(json.dumps(told["exceptionDetails"]))
            case "Log.entryAdded":
                self.complaints.append(told["entry"]["text"])
            case "Runtime.consoleAPICalled":
                self.complaints.append(json.dumps(told["args"]))
            case "Network.requestWillBeSent":
                self.asked.append(told["request"]["url"])

    def run(self, script: str) -> Any:
        """What an expression comes to, promises awaited."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def open(self, file: Path, fragment: str = "") -> None:
        """Opens a file from disk, to its end."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=file.as_uri() + fragment)
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")

    def until(self, condition: str) -> None:
        """Waits, a frame at a time, until an expression holds."""
        self.run(
            "new Promise((done, fail) => { let left = 600; const look = () => { "
            f"if ({condition}) done(true); else if (!left--) fail('never: ' + {json.dumps(condition)}); "
            "else setTimeout(look, 16); }; look(); })"
        )

    def press(self, key: str, *, text: str = "", modifiers: int = 0) -> None:
        """One key, down and up."""
        codes = {"Enter": 13, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38, "End": 35, "Home": 36, "PageDown": 34}
        text = text or {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = codes.get(key, ord(key.upper()) if key.isalnum() and len(key) == 1 else 0)
        common: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.call("Input.dispatchKeyEvent", type="keyDown", **({"text": text} if text else {}), **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def size(self, width: int, height: int, *, dark: bool = False) -> None:
        """The size of the window in CSS pixels, and which colours the system prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, file: Path) -> None:
        """Saves what is seen as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))


@contextmanager
def chromium(folder: Path) -> Iterator[Tab]:
    """A browser with a profile of its own in `folder`, and one page in it; it is ended by its own handle."""
    command = ["chromium", *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
    log = folder / "chromium.log"
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            with connect(_address(process, folder / "profile" / "DevToolsActivePort"), max_size=None) as socket:
                yield _tab(socket)
        finally:
            process.terminate()
            process.wait(timeout=30)


def _address(process: "subprocess.Popen[bytes]", file: Path) -> str:
    """Where the browser listens: it writes so to a file of its profile."""
    while process.poll() is None:
        found = re.fullmatch(r"(\d+)\n(/devtools/\S+)", file.read_text()) if file.exists() else None
        if found:
            return f"ws://127.0.0.1:{found[1]}{found[2]}"
        try:
            process.wait(timeout=0.02)
        except subprocess.TimeoutExpired:
            continue
    raise AssertionError(f"chromium ended with {process.returncode}")


def _tab(socket: ClientConnection) -> Tab:
    browser = Tab(socket, "")
    socket.send(json.dumps({"id": 0, "method": "Target.getTargets"}))
    answer = json.loads(socket.recv(timeout=60))
    target = next(each for each in answer["result"]["targetInfos"] if each["type"] == "page")
    socket.send(
        json.dumps(
            {"id": 0, "method": "Target.attachToTarget", "params": {"targetId": target["targetId"], "flatten": True}}
        )
    )
    while (answer := json.loads(socket.recv(timeout=60))).get("id") != 0:
        browser._note(answer)
    tab = Tab(socket, answer["result"]["sessionId"])
    for domain in ("Page", "Runtime", "Log", "Network"):
        tab.call(f"{domain}.enable")
    return tab

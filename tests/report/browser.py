"""A real browser, asked through its own protocol: what it draws, says and asks for."""

import base64
import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

import psutil
from websockets.sync.client import connect
from websockets.sync.connection import Connection

from deployments.local.processes import end

PROGRAMS = ("chromium", "chromium-headless-shell", "chromium-browser", "google-chrome")
START_SECONDS = 60.0
ANSWER_SECONDS = 60.0


def program() -> str | None:
    return next(filter(None, map(which, PROGRAMS)), None)


@dataclass
class Tab:
    """One page of the browser. ``said`` are console messages, ``asked`` the addresses it loaded."""

    socket: Connection
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _number: int = 0
    _events: list[str] = field(default_factory=list)

    def open(self, address: str, width: int, *, is_dark: bool = False) -> None:
        self.said.clear()
        self.asked.clear()
        self._events.clear()
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.call("Page.navigate", url=address)
        deadline = time.monotonic() + ANSWER_SECONDS
        while "Page.loadEventFired" not in self._events and time.monotonic() < deadline:
            self._receive()

    def run(self, script: str) -> Any:
        """What a script comes to, or what its promise does, as JSON has it."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, height: int) -> bytes:
        """The page down to a height, or to its end, as a PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {**size, "height": min(height, size["height"]), "scale": 1}
        drawn = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(drawn["data"])

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        number = self._number
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while True:
            message = self._receive()
            if message.get("id") == number:
                assert "error" not in message, message
                return dict(message["result"])

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.socket.recv(timeout=ANSWER_SECONDS))
        method, facts = message.get("method"), message.get("params", {})
        self._events.append(str(method))
        if method == "Network.requestWillBeSent":
            self.asked.append(facts["request"]["url"])
        elif method == "Runtime.consoleAPICalled":
            self.said.append(json.dumps(facts["args"]))
        elif method == "Runtime.exceptionThrown":
            self.said.append(json.dumps(facts["exceptionDetails"]))
        elif method == "Log.entryAdded":
            self.said.append(facts["entry"]["text"])
        return message


@contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """A browser with a profile in the folder, and nothing of any other."""
    name = program()
    assert name
    process = subprocess.Popen(
        [
            name,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _port(folder)
        with connect(f"ws://127.0.0.1:{port}{_target(port)}", max_size=None) as socket:
            opened = Tab(socket)
            for domain in ("Page", "Runtime", "Log", "Network"):
                opened.call(f"{domain}.enable")
            yield opened
    finally:
        # Debian's program is a script that starts the browser, which would outlive it.
        end(psutil.Process(process.pid))
        process.wait()


def _port(folder: Path) -> int:
    file = folder / "DevToolsActivePort"
    deadline = time.monotonic() + START_SECONDS
    while not file.exists() or not file.read_text().strip():
        assert time.monotonic() < deadline, "the browser did not start"
        time.sleep(0.1)
    return int(file.read_text().splitlines()[0])


def _target(port: int) -> str:
    import httpx

    targets = httpx.get(f"http://127.0.0.1:{port}/json/list", timeout=ANSWER_SECONDS).json()
    page = next(each for each in targets if each["type"] == "page")
    return "/" + str(page["webSocketDebuggerUrl"]).split("/", 3)[3]

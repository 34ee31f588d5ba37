"""Chromium without a window, by the DevTools protocol over a pair of pipes.

Source: https://chromedevtools.github.io/devtools-protocol/, and ``--remote-debugging-pipe``: messages are
JSON, each ended by a zero byte; the browser reads descriptor 3 and writes descriptor 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
_FLAGS += ["--disable-extensions", "--disable-background-networking", "--disable-component-update"]
_FLAGS += ["--no-proxy-server", "--hide-scrollbars", "--remote-debugging-pipe"]
_PATIENCE = 30.0
_SHELL = 'exec "$0" "$@" 3<&"$READ" 4>&"$WRITE"'


class Browser:
    """One page of a browser.

    Attributes:
        complaints: errors on its console, and violations of its policy.
    """

    def __init__(self, reads: int, writes: int) -> None:
        self.complaints: list[str] = []
        self._reads = reads
        self._writes = writes
        self._left = b""
        self._count = 0
        self._session = ""
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._send(f"{domain}.enable")

    def open(self, url: str) -> None:
        """Go to a page, and wait until its script has run."""
        self._send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        told = self._send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in told:
            raise AssertionError(told["exceptionDetails"])
        return told["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression, once it is true."""
        end = time.monotonic() + _PATIENCE
        while not (found := self.run(script)):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {script}; the page shows {self.text('body')!r}")
            self.run("new Promise((done) => setTimeout(done, 20))")
        return found

    def text(self, selector: str) -> str:
        """What a person reads in a part of the page."""
        return str(self.run(f"document.querySelector({json.dumps(selector)}).innerText"))

    def type(self, text: str) -> None:
        """Type into what has the focus, and press Enter."""
        self._send("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            self._send(
                "Input.dispatchKeyEvent",
                type=kind,
                key="Enter",
                code="Enter",
                text="\r",
                windowsVirtualKeyCode=13,
            )

    def press(self, key: str, code: int) -> None:
        """Press a key that types nothing."""
        for kind in ("keyDown", "keyUp"):
            self._send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def look(self, width: int, *, dark: bool) -> None:
        """Be a window of a width, light or dark."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._send(
            "Emulation.setDeviceMetricsOverride", width=width, height=600, deviceScaleFactor=1, mobile=False
        )

    def picture(self, path: Path) -> None:
        """Keep how the whole page looks."""
        told = self._send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(told["data"]))

    def end(self) -> None:
        """Close the browser."""
        self._session = ""
        self._write("Browser.close")

    def _write(self, method: str, **params: Any) -> None:
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._writes, json.dumps(message).encode() + b"\0")

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        self._write(method, **params)
        while True:
            told = self._receive()
            self._hear(told)
            if told.get("id") == self._count:
                if "error" in told:
                    raise AssertionError(told["error"])
                result: dict[str, Any] = told["result"]
                return result

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            if not select.select([self._reads], [], [], _PATIENCE)[0]:
                raise AssertionError("the browser does not answer")
            part = os.read(self._reads, 1 << 20)
            if not part:
                raise AssertionError("the browser has ended")
            self._left += part
        line, _, self._left = self._left.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def _hear(self, told: dict[str, Any]) -> None:
        params = told.get("params", {})
        if told.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif told.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(str(params["exceptionDetails"]))
        elif told.get("method") == "Runtime.consoleAPICalled" and params["type"] in {"error", "warning"}:
            self.complaints.append(str(params["args"]))


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """A browser that keeps its things in a folder."""
    assert CHROMIUM
    (their_end, writes), (reads, their_other_end) = os.pipe(), os.pipe()
    command = ["bash", "-c", _SHELL, CHROMIUM, *_FLAGS, f"--user-data-dir={folder}"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "READ": str(their_end), "WRITE": str(their_other_end), "HOME": str(folder)},
        pass_fds=(their_end, their_other_end),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(their_end)
    os.close(their_other_end)
    try:
        browser = Browser(reads, writes)
        yield browser
        browser.end()
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(reads)
        os.close(writes)

"""Steers a headless Chromium by its own protocol, over a pipe: no other package is needed."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = next((name for name in ("chromium", "chromium-browser", "google-chrome") if shutil.which(name)), None)
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--remote-debugging-pipe",
)  # fmt: skip
PATIENCE_SECONDS = 120.0


class Browser:
    """One tab: what it shows, what its console says, and what it asks of others."""

    def __init__(self, process: "subprocess.Popen[bytes]", *, reading: int, writing: int) -> None:
        self.process, self.reading, self.writing = process, reading, writing
        self.number = 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []
        self.left = b""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Return what the browser answers to one call."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def read(self) -> dict[str, Any]:
        while b"\0" not in self.left:
            found = os.read(self.reading, 2**20)
            assert found, "the browser ended"
            self.left += found
        text, _, self.left = self.left.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        return message

    def open(self, page: Path, *, scheme: str = "light", width: int = 1200) -> None:
        """Show a page in one colour scheme at one width, and wait until it is there."""
        self.events.clear()
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=media)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=page.as_uri())
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def wait(self, expression: str) -> None:
        """Wait until something holds on the page."""
        end = time.monotonic() + PATIENCE_SECONDS
        while not self.evaluate(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.05)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression on the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press(self, key: str, *, text: str = "") -> None:
        """Press a key and let it go."""
        code = {"Tab": 9, "Enter": 13, " ": 32}.get(key, ord(key[0].upper()))
        known = {"key": key, "code": key if len(key) > 1 else "Space", "windowsVirtualKeyCode": code, "text": text}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **known)
        self.call("Input.dispatchKeyEvent", type="keyUp", **{**known, "text": ""})

    def list_said(self) -> list[str]:
        """Return what the console said."""
        logged = [one["params"]["entry"] for one in self.events if one.get("method") == "Log.entryAdded"]
        kinds = {"Runtime.consoleAPICalled", "Runtime.exceptionThrown"}
        called = [one["params"] for one in self.events if one.get("method") in kinds]
        return [json.dumps(one) for one in (*logged, *called)]

    def list_requests(self) -> list[str]:
        """Return every address that was asked for."""
        asked = [one for one in self.events if one.get("method") == "Network.requestWillBeSent"]
        return [one["params"]["request"]["url"] for one in asked]


@contextmanager
def open_browser(folder: Path) -> Iterator[Browser]:
    """Yield a browser whose profile lies in a folder."""
    from_us, to_browser = os.pipe()
    from_browser, to_us = os.pipe()
    words = " ".join([str(PROGRAM), *OPTIONS, f"--user-data-dir='{folder}'"])
    process = subprocess.Popen(
        [
            "bash",
            "-c",  # other shells redirect single digits only
            f"exec {words} 3<&{from_us} 4>&{to_us}",
        ],
        pass_fds=(from_us, to_us),
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    os.close(from_us)
    os.close(to_us)
    try:
        yield Browser(process, reading=from_browser, writing=to_browser)
    finally:
        process.terminate()
        process.wait()
        os.close(to_browser)
        os.close(from_browser)

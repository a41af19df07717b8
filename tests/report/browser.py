"""A headless Chromium that opens pages from disk, and says what it complained of and what it asked the network for."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-file-access-from-files",
)


class Page:
    """A page in the browser."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, path: Path, width: int = 1280) -> None:
        """Opens a file and waits until its plots have drawn."""
        self.visit(path.resolve().as_uri(), width)

    def visit(self, address: str, width: int = 1280) -> None:
        """Opens an address and waits until the page has drawn."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.get(address)
        self.until("document.documentElement.dataset.drawn === 'yes'")

    def js(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self.driver.execute_script(f"return {expression}")

    def until(self, expression: str, seconds: float = 60) -> None:
        """Waits for an expression to be true."""
        end = time.monotonic() + seconds
        while not self.js(expression):
            assert time.monotonic() < end, f"{expression} did not come true; {self.complaints()}"
            time.sleep(0.05)

    def click(self, selector: str, number: int = 0) -> None:
        """Clicks an element as a mouse does."""
        from selenium.webdriver.common.by import By

        element = self.driver.find_elements(By.CSS_SELECTOR, selector)[number]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()

    def type(self, selector: str, text: str) -> None:
        """Types into a field."""
        self._set(selector, text, "input")

    def choose(self, selector: str, value: str) -> None:
        """Chooses an option."""
        self._set(selector, value, "change")

    def _set(self, selector: str, value: str, event: str) -> None:
        script = "const f = document.querySelector(arguments[0]); f.value = arguments[1]; "
        bubble = "for (const e of ['input', arguments[2]]) f.dispatchEvent(new Event(e, {bubbles: true}))"
        self.driver.execute_script(script + bubble, selector, value, event)

    def scheme(self, colours: str) -> None:
        """What the reader prefers: light or dark."""
        features = [{"name": "prefers-color-scheme", "value": colours}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def complaints(self) -> list[str]:
        """What stands in the console since the last call."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses asked for since the last call that are neither files nor the page nor the browser itself."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:", "chrome"))]


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """A browser with a fresh profile; the test is skipped where there is none."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("needs Debian's chromium and chromium-driver (`apt-get install chromium chromium-driver`)")
    selenium = pytest.importorskip("selenium.webdriver")
    options = selenium.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = __import__("selenium.webdriver.chrome.service", fromlist=["Service"]).Service(driver)
    started: Callable[..., Any] = selenium.Chrome
    found = started(options=options, service=service)
    try:
        yield Page(found)
    finally:
        found.quit()

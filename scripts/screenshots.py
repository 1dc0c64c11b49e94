"""Takes the pictures of the playground that the documentation shows: python scripts/screenshots.py

It starts a server with the default model and drives Chromium, which must be installed.
"""

import base64
import json
import re
import shutil
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"

STATE: dict[str, object] = {
    "turns": [{"role": "user", "content": "Return the largest of the given numbers."}],
    "candidates": [
        "def largest(numbers):\n    return max(numbers)",
        "def largest(numbers):\n    total = sum(numbers)\n    return total / len(numbers)",
        "def area(width, height):\n    return width * height",
    ],
    "mode": "one",
    "modelA": "",
    "modelB": "",
    "weights": {},
    "overLength": "error",
    "steps": "none",
    "delimiter": "",
}


@dataclass(frozen=True)
class Shot:
    name: str
    scheme: Literal["light", "dark"]
    size: ViewportSize
    steps: Literal["none", "line"] = "none"


SHOTS = (
    Shot("playground-light", "light", ViewportSize(width=1200, height=860)),
    Shot("playground-dark", "dark", ViewportSize(width=1200, height=800), steps="line"),
    Shot("playground-phone", "light", ViewportSize(width=360, height=900)),
)


def take(browser: Browser, url: str, shot: Shot) -> None:
    """Open the page in a state, wait for its scores, and save what is seen."""
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(json.dumps(STATE | {"steps": shot.steps}).encode()) + packer.flush()
    fragment = base64.urlsafe_b64encode(packed).decode().rstrip("=")
    page = browser.new_page(viewport=shot.size, color_scheme=shot.scheme)
    page.goto(f"{url}/playground#v1={fragment}")
    page.locator("#columns[aria-busy=false] .column").wait_for()
    page.screenshot(path=IMAGES / f"{shot.name}.png", animations="disabled")
    page.close()


def main() -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("screenshots.py needs chromium, which is not installed")
    IMAGES.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "service", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            found = re.search(r"http://\S+(?=/docs)", server.stdout.readline())
            if found is None:
                sys.exit("the server did not start; what it says is above")
            with sync_playwright() as playwright:
                arguments = ["--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
                browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
                for shot in SHOTS:
                    take(browser, found[0], shot)
                browser.close()
        finally:
            server.terminate()


if __name__ == "__main__":
    main()

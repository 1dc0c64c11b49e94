"""A real browser, a real service with tiny models, and what both need to meet."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from reward_model.release import release
from reward_model.release.calibration import Calibration
from reward_model.release.manifest import Manifest
from service.app import create_app
from service.settings import Settings
from tests.checkpoints import make_checkpoint
from tests.client.servers import serving
from tests.releases import make_release

ARGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
VIOLATIONS = "addEventListener('securitypolicyviolation', e => console.error('CSP', e.blockedURI))"

# Only a broken page needs them; two cores may be busy with something else.
expect.set_options(timeout=30_000)

Visit = Callable[..., Page]


# Of a module, because playwright's event loop runs as long as the browser, and async tests of other
# modules need this thread for theirs.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("needs chromium, which is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Opens the page of a server. At the end, none may have thrown, broken its policy, or asked
    anybody but its server."""
    faults: list[str] = []
    contexts = []

    def open_page(url: str, fragment: str = "", *scripts: str, **options: object) -> Page:
        context = browser.new_context(**options)  # type: ignore[arg-type] # playwright's own
        contexts.append(context)
        context.set_default_timeout(30_000)
        for script in (VIOLATIONS, *scripts):
            context.add_init_script(script)
        page = context.new_page()

        def hear(message: ConsoleMessage) -> None:
            # The browser itself writes such a line for each status that is an error.
            if message.type == "error" and not message.text.startswith("Failed to load resource"):
                faults.append(message.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((f"{url}/", "data:"))
                else faults.append(f"asked {request.url}")
            ),
        )
        page.goto(f"{url}/playground{fragment}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert faults == []


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `release`, its version 2 in `release-2`, and a bare checkpoint `other-rm`."""
    folder = tmp_path_factory.mktemp("models")
    first = make_release(folder / "release")
    second = shutil.copytree(first, folder / "release-2")
    manifest = Manifest.model_validate_json((first / "release.json").read_text())
    calibration = Calibration(mean=-0.25, std=0.5, n=10, reference="test")
    changed = manifest.model_copy(update={"version": "2", "calibration": calibration})
    release.write_manifest(second, changed)
    make_checkpoint(folder / "other-rm", seed=3, max_position_embeddings=8192)
    return folder


@pytest.fixture(scope="module")
def served(models: Path) -> Iterator[str]:
    """The URL of a service with all three models; the release is the default."""
    also = f"{models / 'release-2'},{models / 'other-rm'}"
    settings = Settings(model=str(models / "release"), also_serve=also, device="cpu")
    with serving(create_app(settings)) as url:
        wait_until_ready(url)
        yield url


def wait_until_ready(url: str) -> None:
    while httpx.get(f"{url}/readyz", trust_env=False).status_code != 200:
        time.sleep(0.01)


@pytest.fixture(scope="module")
def axe() -> str:
    return (Path(__file__).parent / "vendor/axe.min.js").read_text("utf-8")

"""What the documentation shows is what the service with the default model answers."""

import json
import re
from pathlib import Path

import pytest

from service.scoring.model import open_model
from tests.service.fakes import running, starting

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("benchmarks/README.md", "client/README.md", "examples/README.md")),
]
_BLOCK = re.compile(r"```json\n(.*?)```|-d '(\{.*?\})'", re.DOTALL)


def shown_in(page: str, key: str) -> list[dict[str, object]]:
    """The JSON objects of a page that have this key."""
    blocks = [a or b for a, b in _BLOCK.findall((ROOT / page).read_text())]
    return [value for value in map(json.loads, blocks) if key in value]


@pytest.mark.parametrize("page", ["README.md", "docs/scoring.md"])
async def test_every_request_shown_is_answered_with_a_best_candidate(page: str) -> None:
    requests = shown_in(page, "inputs")
    assert requests
    async with starting(open_model) as app:
        await app.service.started()
        for body in requests:
            answer = await app.client.post("/v1/score", json=body)
            assert answer.status_code == 200, answer.text
            assert all(result["best"] is not None for result in answer.json()["results"])


async def test_the_answer_shown_is_the_one_sent() -> None:
    """The README leaves fields out, so each field that it shows is compared."""
    (body,) = shown_in("README.md", "inputs")
    (shown,) = shown_in("README.md", "results")
    async with starting(open_model) as app:
        await app.service.started()
        answer = flat((await app.client.post("/v1/score", json=body)).json())
    expected = flat(shown)
    assert {path: answer[path] for path in expected} == pytest.approx(expected, abs=1e-4)


def flat(value: object, path: str = "") -> dict[str, object]:
    """Every leaf by its path, which is what `approx` can compare."""
    if not isinstance(value, dict | list):
        return {path: value}
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for name, entry in entries for k, v in flat(entry, f"{path}.{name}").items()}


async def test_the_error_shown_is_the_one_sent() -> None:
    (shown,) = shown_in("docs/scoring.md", "error")
    async with running() as app:
        body = {"inputs": [{"prompt": "a", "candidates": []}]}
        answer = await app.client.post("/v1/score", json=body)
    assert answer.json() == shown


def test_every_error_code_is_documented() -> None:
    page = (ROOT / "docs/scoring.md").read_text()
    source = (ROOT / "service/errors.py").read_text()
    codes = set(re.findall(r'^    code(?:: ClassVar\[str\])? = "(\w+)"', source, re.M))
    unseen = {"client_gone"}  # nobody is there to read it
    assert sorted(code for code in codes - unseen if f"`{code}`" not in page) == []


def test_every_test_that_security_md_names_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", (ROOT / "docs/security.md").read_text())
    assert named
    missing = [
        f"{file}::{name}"
        for file, name in named
        if f"def {name}(" not in (ROOT / "tests" / file).read_text("utf-8")
    ]
    assert missing == []


def test_the_readme_is_short() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 100
    assert [line for line in lines if len(line) > 100] == []


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub makes from a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if "://" not in link and (
            not target.exists() or (anchor and anchor not in anchors_of(target))
        ):
            broken.append(link)
    assert broken == []


# A path in backticks that begins with one of the repository's own folders.
_PATH = re.compile(
    r"`((?:reward_model|service|trainer|client|benchmarks|tests|scripts|docs|docker|k8s|runs|"
    r"releases|examples)/[\w./-]+)`"
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    # security.md names tests as `path.py::test`, below tests/; another test holds those.
    named = _PATH.findall(page.read_text())
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert sorted(name for name in pages if f"]({name})" not in index) == []


@pytest.mark.parametrize("page", ["corpus", "synthesis", "preferences", "evaluation"])
def test_every_config_that_a_page_shows_can_be_built(page: str) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.S):
        exec(block, names)  # noqa: S102 - these are our own pages

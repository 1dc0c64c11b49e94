"""The playground by keyboard, at phone width, in dark and light, and as axe-core sees it."""

import json
from typing import Literal

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.service.routes.playground.conftest import Visit
from tests.service.routes.playground.states import HOSTILE, fragment

WIDE = ViewportSize(width=1280, height=900)
PHONE = ViewportSize(width=360, height=740)


def findings(page: Page) -> list[str]:
    """What axe-core holds to be a serious or critical fault, with the element."""
    violations = page.evaluate("axe.run(document).then(found => found.violations)")
    return [
        f"{violation['id']} ({violation['impact']}): {node['html'][:200]}"
        for violation in violations
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing_serious(
    served: str,
    visit: Visit,
    axe: str,
    scheme: Literal["light", "dark"],
    size: ViewportSize,
) -> None:
    texts = ["def add(a, b):\n    return a + b\n" * 5, "", "no\nnever"]
    state = fragment(candidates=texts, mode="two", modelB="other-rm@unversioned", steps="line")
    page = visit(served, state, axe, viewport=size, color_scheme=scheme)
    expect(page.locator(".column")).to_have_count(2)
    for name in ("Paste several", "curl", "Python", "Keyboard"):
        page.get_by_text(name, exact=True).click()
    page.get_by_role("button", name="Copy link").click()
    assert findings(page) == []
    # The other mode, and the other states: a failure, a note, the field of the key.
    page.get_by_label("Score with").select_option("a weighted sum")
    expect(page.locator("#failure")).to_be_visible()
    page.evaluate("document.querySelectorAll('#key-field, #notice').forEach(e => e.hidden = false)")
    page.locator("#notice").evaluate("note => note.textContent = 'A note.'")
    assert findings(page) == []
    page.get_by_role("spinbutton", name="test-rm@1").fill("1")
    expect(page.locator(".parts").first).to_be_visible()
    assert findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_never_scrolls_sideways(
    served: str, visit: Visit, scheme: Literal["light", "dark"]
) -> None:
    texts = ["x" * 300, *HOSTILE, "words " * 100]
    turns = [{"role": "user", "content": "W" * 300}]
    state = fragment(turns=turns, candidates=texts, mode="two", modelB="m" * 200, steps="line")
    page = visit(served, state, viewport=PHONE, color_scheme=scheme)
    expect(page.locator(".column .error").first).to_be_visible()
    for name in ("Paste several", "curl", "Python", "Keyboard"):
        page.get_by_text(name, exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.get_by_label("Score with").select_option("a weighted sum")
    page.get_by_role("spinbutton", name="test-rm@1").fill("1")
    expect(page.locator(".parts").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    red = int(background.removeprefix("rgb(").partition(",")[0])
    assert red > 200 if scheme == "light" else red < 60


def focused(page: Page) -> str:
    """The element with the focus, and whether one sees that it has it."""
    found = page.evaluate(
        """() => {
            const at = document.activeElement;
            const style = getComputedStyle(at);
            const name = at.id || at.getAttribute('aria-label') || at.textContent.trim();
            return [name, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2];
        }"""
    )
    name, visible = found
    assert visible or not name or name.startswith("Reward"), f"no focus is seen on {name}"
    return str(name)


def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    for _ in range(60):
        page.keyboard.press(key)
        if focused(page) == name:
            return
    pytest.fail(f"{name} is not reached by {key}")


def test_everything_works_by_keyboard(served: str, visit: Visit) -> None:
    page = visit(served, fragment(candidates=["one", "two"]))
    expect(page.locator(".column")).to_have_count(1)
    tab_to(page, "mode")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".column")).to_have_count(2)
    page.keyboard.press("ArrowUp")
    tab_to(page, "add-system")
    page.keyboard.press("Enter")
    page.keyboard.type("Be brief.")
    assert focused(page) == "Turn 1"
    tab_to(page, "Candidate 2")
    page.keyboard.press("Control+Shift+Enter")
    assert focused(page) == "Candidate 3"
    page.keyboard.type("three\nlines")
    expect(page.locator("ol.ranking li")).to_have_count(3)
    tab_to(page, "Remove candidate 2", "Shift+Tab")
    page.keyboard.press("Enter")
    assert focused(page) == "Remove candidate 2", "the next one, which has that number now"
    expect(page.locator("ol.ranking li")).to_have_count(2)
    with page.expect_request("**/v1/score"):
        page.keyboard.press("Control+Enter")
    tab_to(page, "add-candidate")
    page.keyboard.press("Enter")
    assert focused(page) == "Candidate 3"
    expect(page.locator(".column ul.ranking li")).to_have_count(1)
    tab_to(page, "Go to candidate 3")
    page.keyboard.press("Enter")
    assert focused(page) == "Candidate 3"
    tab_to(page, "Paste several")
    page.keyboard.press("Enter")
    tab_to(page, "several-texts")
    tab_to(page, "copy-link")
    page.keyboard.press("Enter")
    expect(page.locator("#copied")).not_to_be_empty()
    tab_to(page, "curl")
    page.keyboard.press("Enter")
    expect(page.locator("#curl pre")).to_contain_text("Be brief.")


def test_everything_that_can_be_used_is_reached_by_tab(served: str, visit: Visit) -> None:
    page = visit(served, fragment())
    expect(page.locator(".column")).to_have_count(1)
    usable = page.evaluate(
        """[...document.querySelectorAll('a, button, input, select, textarea, summary')]
            .filter(each => each.checkVisibility() && !each.disabled).length"""
    )
    reached = set()
    for _ in range(usable):
        page.keyboard.press("Tab")
        focused(page)
        reached.add(page.evaluate("[...document.all].indexOf(document.activeElement)"))
    assert len(reached) == usable


def test_results_are_announced_and_named(served: str, visit: Visit) -> None:
    page = visit(served, fragment())
    expect(page.get_by_role("status").first).to_contain_text("candidate")
    names = page.evaluate(
        """[...document.querySelectorAll('main button, main input, main select, main textarea')]
            .map(each => each.getAttribute('aria-label') || each.labels?.[0]?.textContent ||
                 each.textContent)"""
    )
    assert all(name.strip() for name in names), json.dumps(names)

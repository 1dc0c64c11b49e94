"""The playground in a real browser, at a real service with tiny models."""

import itertools
import json
import re
from pathlib import Path
from typing import TypedDict

import httpx
import pytest
from playwright.sync_api import Page, expect
from starlette.types import Receive, Scope, Send

from service.app import create_app
from service.settings import Settings
from tests.client.servers import busy, service, serving
from tests.service.auth.test_key_file import line
from tests.service.fakes import GatedEngine, model
from tests.service.http.test_gate import KEY
from tests.service.routes.playground.conftest import Visit, wait_until_ready
from tests.service.routes.playground.states import HALF, HOSTILE, STATE, fragment, pack, unpack

CANDIDATES = ["def add(a, b):\n    return a + b", "def add(a, b): pass", "no"]


class Step(TypedDict):
    end: int
    score: float


class Part(TypedDict):
    weight: float
    score: float
    normalized: float


class Score(TypedDict):
    """Of a candidate that has one; its fields are null for others."""

    score: float
    normalized: float
    tokens: int
    tokens_dropped: int
    steps: list[Step] | None
    parts: dict[str, Part]


class Answer(TypedDict):
    scores: list[Score]
    ranking: list[int]


def ask(
    url: str,
    candidates: list[str] | None = None,
    prompt: str = "Write add(a, b).",
    messages: list[dict[str, str]] | None = None,
    options: dict[str, object] | None = None,
) -> Answer:
    """What the API answers to a request, the one that `STATE` means unless it is said."""
    conversation = {"messages": messages} if messages else {"prompt": prompt}
    entry = {**conversation, "candidates": candidates or CANDIDATES}
    # httpx's own JSON cannot hold half a surrogate pair.
    body = json.dumps({"inputs": [entry], **(options or {})})
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{url}/v1/score", content=body, headers=headers, trust_env=False)
    found: Answer = answer.raise_for_status().json()["results"][0]
    return found


def number(text: str) -> float:
    (found,) = re.findall(r"[-\d.]+", text)
    return float(found)


def ranking(page: Page, column: int = 0) -> list[int]:
    """The candidates of a column, the best first, counted from 0."""
    entries = page.locator(".column").nth(column).locator("ol.ranking .go")
    return [int(text) - 1 for text in entries.all_inner_texts()]


def test_it_shows_what_the_api_answers(served: str, visit: Visit) -> None:
    page = visit(served, fragment())
    expect(page.locator(".column")).to_have_count(1)
    expected = ask(served)
    assert ranking(page) == expected["ranking"]
    for index, score in enumerate(expected["scores"]):
        box = page.locator(".candidate").nth(index)
        assert number(box.locator(".raw").inner_text()) == pytest.approx(score["score"], abs=6e-5)
        assert number(box.locator(".normalized").inner_text()) == pytest.approx(
            score["normalized"], abs=6e-5
        )
        assert number(box.locator(".tokens").inner_text()) == score["tokens"]
    best = expected["ranking"][0]
    expect(page.get_by_role("status").first).to_contain_text(f"candidate {best + 1} is best")
    widths = page.locator(".bar").evaluate_all("bars => bars.map(bar => bar.offsetWidth)")
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > widths[-1] > 0


def test_the_newest_text_is_scored_while_one_types(visit: Visit) -> None:
    engine = GatedEngine()
    with serving(create_app(Settings(), lambda _: model(engine))) as url:
        wait_until_ready(url)
        page = visit(url, fragment(candidates=["a"]))
        aborted = []
        page.on("requestfailed", lambda request: aborted.append(request.url))
        assert engine.begun.acquire(timeout=30), "the first text is not scored"
        page.locator(".candidate .text").press_sequentially("bc")
        with page.expect_request("**/v1/score"):
            pass
        engine.go_on.release(3)
        # A token for each letter of the prompt and of the candidate.
        expect(page.locator(".raw")).to_have_text(f"raw {len('Write add(a, b).') + 3}.0000")
    assert aborted == [f"{url}/v1/score"]


def test_without_live_scoring_the_button_scores(served: str, visit: Visit) -> None:
    page = visit(served, fragment())
    expect(page.locator(".column")).to_have_count(1)
    page.get_by_label("as I type").uncheck()
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    page.locator(".candidate .text").first.fill("changed")
    expect(page.locator("#status")).to_contain_text("press Score")
    page.get_by_role("button", name="Score").click()
    expected = ask(served, candidates=["changed", *CANDIDATES[1:]])
    score = expected["scores"][0]["score"]
    expect(page.locator(".raw").first).to_have_text(f"raw {score:.4f}")
    assert requests == [f"{served}/v1/score"]


def test_errors_are_shown_in_place_and_cost_their_own_candidate_alone(
    served: str, visit: Visit
) -> None:
    page = visit(served, fragment(candidates=["short", "many words " * 500, ""]))
    boxes = page.locator(".candidate")
    expect(boxes.nth(0)).to_contain_text("rank 1")
    expect(boxes.nth(1)).to_contain_text("too_long: ")
    expect(boxes.nth(2)).to_contain_text("empty: ")
    assert ranking(page) == [0]
    expect(page.locator(".column")).to_contain_text("Without a score")
    expect(page.locator("#failure")).to_be_hidden()


def test_a_prompt_that_is_truncated_is_marked(served: str, visit: Visit) -> None:
    turns = [{"role": "user", "content": "many words " * 500}]
    page = visit(served, fragment(turns=turns))
    expect(page.locator(".candidate").first).to_contain_text("too_long: ")
    page.get_by_label("A text that is too long").select_option("loses the middle of its prompt")
    expect(page.locator(".truncated")).to_have_count(3)
    expected = ask(served, prompt="many words " * 500, options={"over_length": "truncate_prompt"})
    dropped = expected["scores"][0]["tokens_dropped"]
    expect(page.locator(".truncated").first).to_contain_text(f"{dropped} tokens")


def test_a_server_that_goes_away_and_comes_back(visit: Visit) -> None:
    with serving(create_app(Settings(), lambda _: model())) as url:
        wait_until_ready(url)
        page = visit(url, fragment())
        expect(page.locator(".column")).to_have_count(1)
    failure, columns = page.locator("#failure"), page.locator(".column")
    page.locator(".candidate .text").first.fill("changed")
    expect(failure).to_contain_text("The server does not answer.")
    expect(columns).to_have_count(0)
    expect(page.locator(".result")).to_have_count(0)
    port = int(url.rpartition(":")[2])
    with serving(create_app(Settings(), lambda _: model()), port):
        wait_until_ready(url)
        page.get_by_role("button", name="Try again").focus()
        page.keyboard.press("Enter")
        expect(columns).to_have_count(1)
        expect(failure).to_be_hidden()
        expect(page.get_by_role("button", name="Score")).to_be_focused()
        assert page.locator(".candidate .text").first.input_value() == "changed"


def test_a_busy_server_is_asked_again_when_it_says(visit: Visit) -> None:
    with service(busy(503, "1")) as (url, _):
        page = visit(url, fragment(candidates=["a"]))
        expect(page.locator("#failure")).to_contain_text("503 Service Unavailable")
        expect(page.locator("#failure")).to_contain_text("The next try is in 1 s.")
        expect(page.locator(".column")).to_have_count(1)
        expect(page.locator("#failure")).to_be_hidden()


def test_a_refusal_is_shown_in_the_words_of_the_server(served: str, visit: Visit) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    page = visit(served, fragment(turns=turns))
    expect(page.locator("#failure")).to_contain_text("must not end messages on the assistant")
    page.get_by_label("Role of turn 2").select_option("user")
    expect(page.locator(".column")).to_have_count(1)
    page.get_by_role("button", name="Remove all").click()
    expect(page.locator("#failure")).to_contain_text("Add a candidate")


def test_a_wrong_key_then_the_right_one_which_goes_nowhere_else(
    visit: Visit, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(line("team-a", KEY))
    with service(api_keys_file=keys) as (url, faulty):
        page = visit(url, fragment(candidates=["a"]))
        failure, field = page.locator("#failure"), page.get_by_label("API key")
        expect(failure).to_contain_text("This server needs an API key.")
        for wrong in ("wrong", "wröng\u20ac"):
            field.fill(wrong)
            field.press("Enter")
            expect(failure).to_contain_text("key")
            expect(page.locator(".column")).to_have_count(0)
        field.fill(KEY)
        field.press("Enter")
        expect(page.locator(".column")).to_have_count(1)
        expect(failure).to_be_hidden()
        page.get_by_text("curl", exact=True).click()
        page.get_by_text("Python", exact=True).click()
        expect(page.locator("#curl pre")).to_contain_text("$KEY")
        expect(page.locator("#python pre")).to_contain_text('os.environ["KEY"]')
        page.get_by_role("button", name="Copy link").click()
        expect(page.locator("#copied")).not_to_be_empty()
        link = page.url
        stored = page.evaluate("[{...localStorage}, document.cookie, document.body.innerHTML]")
        page.reload()
        expect(page.locator(".column")).to_have_count(1)
    assert KEY not in json.dumps([stored, unpack(link)])
    assert faulty.headers[-1]["x-api-key"] == KEY
    assert all("referer" not in headers for headers in faulty.headers)


def test_hostile_texts_stay_texts(served: str, visit: Visit) -> None:
    texts = [*HOSTILE, HALF]
    turns = [{"role": "user", "content": text} for text in HOSTILE]
    # The name of a model in a link may be anything, and the server's answer quotes it.
    name = "<img src=x onerror=alert(1)>"
    page = visit(served, fragment(turns=turns, candidates=texts, steps="line"))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    expect(page.locator(".column")).to_have_count(1)
    assert page.locator(".candidate .text").first.input_value() == texts[0]
    assert page.locator(".preview", has_text="<img").count() == 1
    page.goto(f"{served}/playground{fragment(modelA=name, mode='two', modelB=name)}")
    expect(page.locator("#failure")).to_contain_text("The server refuses this")
    assert page.locator("option", has_text=name).count() == 2
    assert page.locator("img, script:not([src])").count() == 0


def test_a_link_brings_everything_back(served: str, visit: Visit) -> None:
    state = STATE | {
        "turns": [
            {"role": "system", "content": "Be brief.\n"},
            {"role": "user", "content": HOSTILE[8]},
        ],
        "candidates": [*HOSTILE, HALF],
        "mode": "sum",
        "modelB": "other-rm@unversioned",
        "weights": {"test-rm@1": 1, "test-rm@2": -0.5},
        "overLength": "truncate_prompt",
        "steps": "custom",
        "delimiter": " \\n# ",
    }
    page = visit(served, fragment(**state), permissions=["clipboard-read", "clipboard-write"])
    expect(page.locator(".column")).to_have_count(1)
    page.evaluate("history.replaceState(null, '', location.pathname)")
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#copied")).to_have_text("link copied.")
    assert unpack(page.url) == state
    assert page.evaluate("navigator.clipboard.readText()") == page.url
    # After a change the address is no longer that of the state on the screen.
    page.locator(".candidate .text").first.fill("changed")
    expect(page).to_have_url(f"{served}/playground")
    expect(page.locator(".candidate").first).to_contain_text("rank")
    page.reload()
    expect(page.locator(".column")).to_have_count(1)
    assert page.locator(".candidate .text").first.input_value() == "changed"


@pytest.mark.parametrize(
    "bad",
    [
        "#v1=",
        "#v1=%3Cscript%3E",
        "#v1=AAAA",
        "#v2=AAAA",
        "#anything",
        pack(b"null"),
        pack(b'{"turns": []}'),
        pack(b'"' + b"a" * 50_000_000 + b'"'),
        fragment(candidates=[1]),
        fragment(turns=[{"role": "root", "content": ""}]),
        fragment(weights={"a": None}),
        fragment(candidates=["a"] * 2000),
    ],
    ids=lambda bad: bad[:12],
)
def test_a_damaged_link_is_ignored_with_a_note(served: str, visit: Visit, bad: str) -> None:
    page = visit(served, bad)
    expect(page.get_by_text("The link to this page is damaged")).to_be_visible()
    expect(page.locator(".column")).to_have_count(1)


def test_two_models_side_by_side(served: str, visit: Visit) -> None:
    page = visit(served, fragment())
    page.get_by_label("Score with").select_option("two, side by side")
    page.get_by_label("Second model").select_option("other-rm@unversioned")
    expect(page.locator(".column h3")).to_have_text(["test-rm@1", "other-rm@unversioned"])
    for column, name in enumerate(("test-rm@1", "other-rm@unversioned")):
        expected = ask(served, options={"model": name})
        assert ranking(page, column) == expected["ranking"]
        raw = page.locator(".candidate").first.locator(".raw").nth(column).inner_text()
        assert number(raw) == pytest.approx(expected["scores"][0]["score"], abs=6e-5)
    expect(page.locator(".candidate").first).to_contain_text("not calibrated")


def test_one_of_two_models_may_fail_alone(served: str, visit: Visit) -> None:
    page = visit(served, fragment(mode="two", modelB="gone@1"))
    expect(page.locator(".column h3").last).to_have_text("gone@1")
    expect(page.locator(".column .error")).to_contain_text("The server refuses this")
    assert ranking(page) == ask(served)["ranking"]
    expect(page.locator(".result")).to_have_count(3)


def test_a_weighted_sum_shows_its_parts(served: str, visit: Visit) -> None:
    page = visit(served, fragment())
    page.get_by_label("Score with").select_option("a weighted sum")
    expect(page.locator("#failure")).to_contain_text("Give a weight")
    page.get_by_role("spinbutton", name="test-rm@1").fill("1")
    page.get_by_role("spinbutton", name="test-rm@2").fill("-0.5")
    expect(page.locator(".column h3")).to_have_text("Weighted sum")
    expected = ask(served, options={"models": {"test-rm@1": 1, "test-rm@2": -0.5}})
    assert ranking(page) == expected["ranking"]
    score = expected["scores"][0]
    rows = page.locator(".candidate").first.locator(".parts tbody tr")
    for row, (name, part) in zip(rows.all(), score["parts"].items(), strict=True):
        cells = row.locator("td").all_inner_texts()
        assert cells[0] == name
        shown = [number(cell) for cell in cells[1:]]
        assert shown == pytest.approx([*part.values()], abs=6e-5)
    # Only calibrated models can be summed.
    assert page.locator("#weights input").count() == 2


@pytest.mark.parametrize(
    ("choice", "delimiter", "typed"),
    [
        ("at ends of lines", "\n", ""),
        ("at blank lines", "\n\n", ""),
        ("at another delimiter", " \n#", " \\n#"),
    ],
)
def test_steps_are_coloured_pieces_of_the_text(
    served: str, visit: Visit, choice: str, delimiter: str, typed: str
) -> None:
    texts = [f"one 😀{delimiter}two é{delimiter}three", "single", "a\n\n\nb \n#c"]
    page = visit(served, fragment(candidates=texts))
    page.get_by_label("Scores of steps").select_option(choice)
    if typed:
        page.get_by_role("textbox", name="Delimiter").fill(typed)
    expect(page.locator(".candidate").first.locator(".step")).to_have_count(3)
    expected = ask(served, candidates=texts, options={"steps": {"delimiter": delimiter}})
    for index, text in enumerate(texts):
        steps = expected["scores"][index]["steps"] or []
        rows = page.locator(".candidate").nth(index).locator(".step")
        shown = [number(each) for each in rows.locator(".step-score").all_inner_texts()]
        assert shown == pytest.approx([step["score"] for step in steps], abs=6e-5)
        starts = [0, *(step["end"] for step in steps)]
        pieces = [text[a:b].lstrip("\n") for a, b in itertools.pairwise(starts)]
        assert rows.locator(".piece").all_text_contents() == pieces
    classes = page.locator(".step").evaluate_all("all => all.map(each => each.className)")
    assert {"step level-0", "step level-6"} <= set(classes)


@pytest.mark.parametrize(
    ("how", "text", "expected"),
    [
        (
            "what stands between lines of ---",
            "a\n  b\n---\n\nc\n-----\n---\nd---",
            ["a\n  b", "\nc", "d---"],
        ),
        ("a line", "a\n\n  b\n", ["a", "  b"]),
        ("an entry of a JSON list of texts", '["a\\nb", "---", ""]', ["a\nb", "---", ""]),
    ],
)
def test_several_candidates_are_pasted_at_once(
    served: str, visit: Visit, how: str, text: str, expected: list[str]
) -> None:
    page = visit(served, fragment(candidates=["first"]))
    page.get_by_text("Paste several").click()
    page.get_by_label("One candidate is").select_option(how)
    page.get_by_role("textbox", name="Texts").fill(text)
    page.get_by_role("button", name="Add these").click()
    boxes = page.locator(".candidate .text")
    expect(boxes).to_have_count(len(expected) + 1)
    assert [box.input_value() for box in boxes.all()] == ["first", *expected]


def test_pasted_nonsense_is_refused_in_a_sentence(served: str, visit: Visit) -> None:
    page = visit(served, fragment(candidates=["first"]))
    page.get_by_text("Paste several").click()
    page.get_by_label("One candidate is").select_option("an entry of a JSON list of texts")
    for text, sentence in (("[", "This is not JSON."), ("[1]", "not a JSON list of texts")):
        page.get_by_role("textbox", name="Texts").fill(text)
        page.get_by_role("button", name="Add these").click()
        expect(page.get_by_text(sentence)).to_be_visible()
    assert page.locator(".candidate").count() == 1


def test_a_conversation_is_edited(served: str, visit: Visit) -> None:
    page = visit(served, fragment())
    page.get_by_role("button", name="Add turn").click()
    page.keyboard.type("I cannot.")
    page.get_by_role("button", name="Add turn").click()
    page.keyboard.type("Try.")
    page.get_by_role("button", name="Add system message").click()
    page.keyboard.type("Be brief.")
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Write add(a, b)."},
        {"role": "assistant", "content": "I cannot."},
        {"role": "user", "content": "Try."},
    ]
    expected = ask(served, messages=messages)
    raw = f"raw {expected['scores'][0]['score']:.4f}"
    expect(page.locator(".raw").first).to_have_text(raw)
    for _ in range(4):
        page.locator(".turn .remove").first.click()
    expect(page.locator(".turn .text")).to_have_count(1)
    assert page.locator(".turn .text").input_value() == ""


def test_thirty_two_long_candidates(served: str, visit: Visit) -> None:
    words = "the quick brown fox jumps over the lazy dog 0123456789\n"
    # The model computes what they share once, so that the test is about the page.
    texts = [(words * 80)[: 4000 - len(str(index))] + str(index) for index in range(32)]
    page = visit(served, fragment(candidates=texts, modelA="other-rm@unversioned", steps="line"))
    expect(page.locator("ol.ranking li")).to_have_count(32)
    expect(page.locator("#status")).to_contain_text("32 of 32 scored")
    page.locator(".candidate .text").last.fill("short")
    # The page must not wait for a score to show what is typed.
    assert page.locator(".candidate .text").last.input_value() == "short"
    expect(page.locator(".candidate").last.locator(".step")).to_have_count(1)


def test_it_works_below_the_path_prefix_of_a_proxy(visit: Visit) -> None:
    app = create_app(Settings(), lambda _: model())

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert scope["path"].startswith("/rewards/")
            scope = {**scope, "path": scope["path"].removeprefix("/rewards")}
        await app(scope, receive, send)

    with serving(proxy) as url:
        prefixed = f"{url}/rewards"
        wait_until_ready(prefixed)
        page = visit(prefixed, fragment(candidates=["a"]))
        expect(page.locator(".column")).to_have_count(1)
        page.get_by_text("curl", exact=True).click()
        expect(page.locator("#curl pre")).to_contain_text(f"'{prefixed}/v1/score'")

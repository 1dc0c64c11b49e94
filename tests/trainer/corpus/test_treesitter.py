"""Each language cut by its own grammar; skipped where that grammar is not installed."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.corpus.fragment import Fragment
from trainer.corpus.languages import LANGUAGES
from trainer.corpus.treesitter import functions, parser_of

BODY = "if (a > b) { return a * 2 + b; }\n  return b - a * 3;"
EXAMPLES = {
    "javascript": f"// Pick one of two.\nexport function pick(a, b) {{\n  {BODY}\n}}\n",
    "typescript": (
        "/** Pick one of two. */\n"
        f"export const pick = (a: number, b: number): number => {{\n  {BODY}\n}};\n"
    ),
    "tsx": f"/* Pick one of two. */\nfunction pick(a: number, b: number) {{\n  {BODY}\n}}\n",
    "java": (
        "class A {\n  /**\n   * Pick one of two.\n   */\n"
        f"  public int pick(int a, int b) {{\n    {BODY}\n  }}\n}}\n"
    ),
    "go": (
        "package p\n\n// Pick one of two.\nfunc (s *S) pick(a, b int) int {\n"
        "\tif a > b {\n\t\treturn a*2 + b\n\t}\n\treturn b - a*3\n}\n"
    ),
    "rust": (
        "/// Pick one of two.\n#[inline]\npub fn pick(a: i32, b: i32) -> i32 {\n"
        "    if a > b {\n        return a * 2 + b;\n    }\n    b - a * 3\n}\n"
    ),
    "c": (
        "int x; // not about it\n// Pick one of two.\n"
        f"static int *pick(int a, int b) {{\n  {BODY}\n}}\n"
    ),
    "cpp": f"// Pick one of two.\ntemplate <class T>\nT &pick(T a, T b) {{\n  {BODY}\n}}\n",
}
SIGNATURES = {
    "javascript": "export function pick(a, b)",
    "typescript": "export const pick = (a: number, b: number): number",
    "tsx": "function pick(a: number, b: number)",
    "java": "public int pick(int a, int b)",
    "go": "func (s *S) pick(a, b int) int",
    "rust": "pub fn pick(a: i32, b: i32) -> i32",
    "c": "static int *pick(int a, int b)",
    "cpp": "template <class T> T &pick(T a, T b)",
}


def cut(language: str, text: str, counts: Counter[str] | None = None) -> list[Fragment]:
    known = LANGUAGES[language]
    pytest.importorskip(known.grammar, reason=f"the grammar of {language} is not installed")
    return list(functions(text, known, Counter() if counts is None else counts))


def test_every_language_with_a_grammar_is_shown() -> None:
    assert {name for name, known in LANGUAGES.items() if known.grammar} == set(EXAMPLES)


@pytest.mark.parametrize("language", EXAMPLES)
def test_a_function_is_found_with_its_name_signature_and_comment(language: str) -> None:
    (piece,) = cut(language, EXAMPLES[language])
    assert (piece.name, piece.signature) == ("pick", SIGNATURES[language])
    assert piece.docstring == "Pick one of two."
    assert piece.source.startswith(piece.signature.split("(")[0].split(" <")[0])
    assert piece.source.rstrip(";").endswith("\n}")


@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        ("function pick(a) { return a; }", "too small"),
        (EXAMPLES["javascript"].replace("pick", "testPick"), "test"),
        (EXAMPLES["javascript"].replace("pick", "__pick"), "dunder"),
        ("function pick(a) { return a + * ; }", "does not parse"),
    ],
)
def test_what_is_left_out_is_counted(inside: str, reason: str) -> None:
    counts: Counter[str] = Counter()
    assert cut("javascript", inside, counts) == []
    assert counts == {reason: 1}


def test_nested_functions_stay_where_they_are_and_callbacks_are_none() -> None:
    outer = (
        "function outer(a, b) {\n  function inner() { return a + b * a - b + a; }\n" + BODY + "}\n"
    )
    callback = f"register((a, b) => {{ {BODY} }});\n"
    assert [piece.name for piece in cut("javascript", outer + callback)] == ["outer"]


def test_a_method_begins_at_the_margin() -> None:
    (piece,) = cut("java", EXAMPLES["java"])
    assert piece.source.split("\n")[-1] == "}"


def test_a_comment_further_above_is_about_something_else() -> None:
    (piece,) = cut("go", EXAMPLES["go"].replace("two.\n", "two.\n\n"))
    assert piece.docstring == ""


@pytest.mark.parametrize("language", ["c", "cpp"])
@pytest.mark.parametrize("around", ["namespace a", "class A_MACRO B : public C"])
def test_what_c_takes_for_a_function_is_looked_into(language: str, around: str) -> None:
    inside = EXAMPLES["c"].replace("static ", "")
    (piece,) = cut(language, f"{around} {{\n{inside}\n}};\n")
    assert piece.name == "pick"


def test_conversions_of_cpp_have_a_name() -> None:
    (piece,) = cut("cpp", f"struct S {{\n  explicit operator bool() const {{ {BODY} }}\n}};\n")
    assert (piece.name, piece.signature) == ("operator bool", "explicit operator bool() const")


def test_declarations_without_a_body_are_no_functions() -> None:
    assert cut("c", "int pick(int a, int b);\n") == []
    assert cut("java", "interface A { int pick(int a, int b); }") == []


@given(st.text(max_size=200), st.sampled_from(sorted(EXAMPLES)))
def test_any_text_is_cut_or_not_and_never_fails(noise: str, language: str) -> None:
    noisy = EXAMPLES[language] + noise
    counts: Counter[str] = Counter()
    for piece in cut(language, noisy, counts):
        assert piece.name
        assert piece.source.split("\n")[0] in noisy


def test_a_language_without_a_grammar_has_no_parser() -> None:
    assert parser_of(LANGUAGES["haskell"]) is None

import pytest

from trainer.corpus.languages import language_of


@pytest.mark.parametrize(
    ("stated", "path", "text", "language"),
    [
        ("", "a/b.PY", "", "python"),
        ("", "Makefile", "", ""),
        ("C++", "a.unknown", "", "cpp"),
        ("OCaml", "a.ml", "", "ocaml"),
        ("TypeScript", "a.ts", "", "typescript"),
        ("TypeScript", "a.tsx", "", "tsx"),
        ("", "a.h", "struct point { int x; };", "c"),
        ("", "a.h", "#pragma once\nnamespace a {\n}", "cpp"),
        ("C", "a.h", "namespace a {}", "c"),
        ("", "a.c", "using nothing", "c"),
    ],
)
def test_what_is_stated_counts_before_the_suffix(
    stated: str, path: str, text: str, language: str
) -> None:
    assert language_of(stated, path, text) == language

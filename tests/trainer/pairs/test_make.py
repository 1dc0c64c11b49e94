from dataclasses import replace
from pathlib import Path

import pytest

from trainer.corpus.gather import CorpusConfig
from trainer.corpus.snippet import Snippet, write_snippets
from trainer.pairs import make
from trainer.pairs.embedded import RejectedConfig
from trainer.pairs.make import PairsConfig
from trainer.pairs.row import PreferenceRow, read_pairs
from trainer.pipeline.stage import read_manifest, writing_stage

TRAIN_ONLY = PairsConfig(
    evaluation_share=0.0, calibration_share=0.0, generate=RejectedConfig(other_functions=2)
)
SUMMARY = "Return {verb} of both arguments and print it"


def snippet(package: str, name: str, *, arguments: str = "a, b", lines: int = 1) -> Snippet:
    """A function whose text says which package it is from."""
    body = "".join(f"    {package} = a + b + {line}\n" for line in range(lines))
    source = f"def {name}({arguments}):\n{body}    print({package})\n    return {package} * 2"
    docstring = SUMMARY.format(verb=name)
    signature = f"{name}({arguments})"
    return Snippet(f"{package}-{name}", package, "MIT", "f.py", name, signature, docstring, source)


SNIPPETS = [
    snippet(package, name) for package in ("apples", "pears") for name in ("sum", "total", "all")
]


def made(folder: Path, snippets: list[Snippet], config: PairsConfig) -> list[PreferenceRow]:
    with writing_stage(CorpusConfig(), folder / "corpus") as draft:
        write_snippets(draft.path, snippets, 100)
    make.run(config, folder, folder / "pairs")
    return read_pairs(folder / "pairs", "train")


def counts(folder: Path) -> dict[str, int]:
    found = read_manifest(folder / "pairs")["counts"]
    assert isinstance(found, dict)
    return found


def test_every_function_becomes_a_prompt_or_is_counted_under_a_reason(tmp_path: Path) -> None:
    undescribed = replace(snippet("apples", "bare"), docstring="")
    method = snippet("apples", "get", arguments="self, b")
    long = snippet("apples", "long", lines=40)
    config = replace(TRAIN_ONLY, undescribed=0.0, methods=0.0, max_characters=500)
    rows = made(tmp_path, [*SNIPPETS, undescribed, method, long], config)
    assert {row.id for row in rows} == {each.id for each in SNIPPETS}
    reasons = {name: n for name, n in counts(tmp_path).items() if name.startswith("prompt")}
    assert reasons == {"prompt: undescribed": 1, "prompt: method": 1, "prompt: too long": 1}


def test_snippets_of_other_languages_are_counted_and_lend_nothing(tmp_path: Path) -> None:
    foreign = replace(snippet("pears", "go"), id="go", source="func f() {}", language="go")
    rows = made(tmp_path, [*SNIPPETS, foreign], TRAIN_ONLY)
    assert {row.id for row in rows} == {each.id for each in SNIPPETS}
    assert counts(tmp_path)["prompt: not Python but go"] == 1
    assert not any("func f" in rival.text for row in rows for rival in row.rejected)


def test_no_text_is_longer_than_the_limit(tmp_path: Path) -> None:
    rows = made(tmp_path, SNIPPETS, replace(TRAIN_ONLY, max_characters=100))
    texts = [text for row in rows for text in (row.chosen, *(r.text for r in row.rejected))]
    assert texts
    assert max(map(len, texts)) <= 100


def test_neighbours_lend_their_bodies_within_their_package(tmp_path: Path) -> None:
    for row in made(tmp_path, SNIPPETS, replace(TRAIN_ONLY, neighbours=True)):
        stranger = "pears" if row.group == "apples" else "apples"
        assert not any(stranger in rival.text for rival in row.rejected)


def test_otherwise_any_package_lends(tmp_path: Path) -> None:
    rows = made(tmp_path, SNIPPETS, TRAIN_ONLY)
    lent = [r.text for row in rows if row.group == "apples" for r in row.rejected]
    assert any("pears" in text for text in lent)


def test_a_lone_function_is_not_its_own_rival(tmp_path: Path) -> None:
    (row,) = made(tmp_path, SNIPPETS[:1], replace(TRAIN_ONLY, neighbours=True))
    assert {rival.kind for rival in row.rejected}.isdisjoint({"other_function", "other_body"})
    assert counts(tmp_path)["other function: same description"] == 3


def test_what_the_same_description_asks_for_is_no_rival(tmp_path: Path) -> None:
    twin = replace(snippet("pears", "twin"), docstring=SNIPPETS[0].docstring)
    rows = made(tmp_path, [SNIPPETS[0], twin], TRAIN_ONLY)
    kinds = {rival.kind for row in rows for rival in row.rejected}
    assert kinds.isdisjoint({"other_function", "other_body"})


def test_an_undescribed_function_may_be_a_rival_of_another(tmp_path: Path) -> None:
    bare = [replace(each, docstring="") for each in SNIPPETS]
    rows = made(tmp_path, bare, replace(TRAIN_ONLY, undescribed=1.0))
    assert any(rival.kind == "other_function" for row in rows for rival in row.rejected)


def test_a_held_out_split_has_as_many_prompts_as_the_limit_says_of_any_package(
    tmp_path: Path,
) -> None:
    made(tmp_path, SNIPPETS, replace(TRAIN_ONLY, evaluation_share=1.0, max_held_out=3))
    rows = read_pairs(tmp_path / "pairs", "evaluation")
    assert len(rows) == 3
    assert {row.group for row in rows} == {"apples", "pears"}
    assert counts(tmp_path)["evaluation: prompts over the limit"] == 3


@pytest.mark.parametrize(
    ("arguments", "is_method"), [("self", True), ("cls, b", True), ("", False)]
)
def test_methods_are_known_by_their_first_argument(arguments: str, is_method: bool) -> None:
    assert snippet("p", "f", arguments=arguments).is_method is is_method

import json
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.trainer.corpus.snippets import FUNCTION
from trainer.corpus.decontaminate import EvaluationNgrams, EvaluationSet
from trainer.corpus.gather import CorpusConfig, run
from trainer.corpus.snippet import Snippet, read_snippets
from trainer.corpus.sources import FolderSource, JsonLinesSource
from trainer.pipeline.stage import StageError, read_manifest

PACKAGES = CorpusConfig(folders=("src",), standard_library=False, installed=False)
ROWS = CorpusConfig(
    standard_library=False, installed=False, sources=(JsonLinesSource("rows.jsonl"),)
)


def row(text: str, repository: str = "r", spdx: str = "MIT", **others: str) -> dict[str, str]:
    return {
        "content": text,
        "repository": repository,
        "license": spdx,
        "path": "a.py",
        **others,
    }


def other(seed: int) -> str:
    """A function that is like no other."""
    rng = random.Random(seed)
    words = [f"v{rng.randrange(10**6)}" for _ in range(6)]
    lines = "".join(
        f"    {a} = {b} * {rng.randrange(100)} + arg\n" for a in words for b in words[:2]
    )
    return f"def f{seed}(arg):\n{lines}    return arg\n"


def gathered(
    folder: Path, rows: list[dict[str, str]], config: CorpusConfig = ROWS
) -> list[Snippet]:
    (folder / "rows.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    run(config, folder, folder / "corpus")
    return read_snippets(folder / "corpus")


def facts(folder: Path, name: str) -> dict[str, int]:
    found = read_manifest(folder / "corpus")[name]
    assert isinstance(found, dict)
    return found


def test_exact_and_near_duplicates_are_dropped_across_packages(tmp_path: Path) -> None:
    variants = [FUNCTION, FUNCTION, FUNCTION.replace("Keep", "Hold"), FUNCTION + "    # same\n"]
    near = FUNCTION.replace("return value\n", "return value + 0\n")
    for number, source in enumerate(
        [*variants, near, "def other(a):\n" + "    a += a * a - 1\n" * 4]
    ):
        (tmp_path / "src" / f"p{number}").mkdir(parents=True)
        (tmp_path / "src" / f"p{number}" / "code.py").write_text(source)
    run(PACKAGES, tmp_path, tmp_path / "corpus")
    assert sorted(s.name for s in read_snippets(tmp_path / "corpus")) == ["clip", "other"]
    assert facts(tmp_path, "counts") == {"duplicate": 3, "near duplicate": 1, "kept": 2}
    assert facts(tmp_path, "files") == {"cut into functions": 6}


def test_a_snippet_knows_where_it_is_from(tmp_path: Path) -> None:
    (found,) = gathered(tmp_path, [row(FUNCTION, "owner/name", "MIT OR GPL-2.0-only")])
    assert (found.package, found.path) == ("owner/name", "a.py")
    assert (found.license, found.language) == ("MIT OR GPL-2.0-only", "python")
    assert len(found.sha256) == 64


def test_every_file_and_every_function_is_in_one_count(tmp_path: Path) -> None:
    rows = [
        row(FUNCTION),
        row(FUNCTION, "s"),
        row(other(1)),
        row("def stub(): pass\n"),
        row(other(2), spdx="GPL-3.0-only"),
        row(other(3), spdx=""),
        row(other(4), path="a.weird"),
        row("main = do\n  print 1\n", path="a.hs"),
        row(other(5), path="tests/a.py"),
        row("def broken(:\n"),
        row(other(6), repository=""),
        row(
            FUNCTION.replace("clip", "test_clip") + FUNCTION + "    print(value, low, high)\n" * 40
        ),
    ]
    kept = gathered(tmp_path, rows, replace(ROWS, max_per_package=2))
    assert facts(tmp_path, "files") == {
        "cut into functions": 5,
        "does not parse": 1,
        "kept whole: haskell": 1,
        "language: unknown": 1,
        "license: GPL-3.0-only": 1,
        "license: unknown": 1,
        "no repository": 1,
        "vendored or test": 1,
    }
    counts = facts(tmp_path, "counts")
    assert counts["kept"] == len(kept)
    assert {name: counts[name] for name in ("test", "too long", "too small")} == {
        "test": 1,
        "too long": 1,
        "too small": 1,
    }
    # Clip, that of another repository, f1, the whole file, and the three that were left out.
    assert sum(counts.values()) == 7


LAST = row("main = interact reverse\n", path="Last.hs")
KINDS = st.sampled_from(["function", "copy", "small", "haskell", "broken", "license", "secret"])


def row_of(kind: str, number: int) -> dict[str, str]:
    repository = f"r{number % 3}"
    match kind:
        case "copy":
            return row(FUNCTION, repository)
        case "small":
            return row("def stub(): pass\n", repository)
        case "haskell":
            return row(f"main = print {number}\n", repository, path="a.hs")
        case "broken":
            return row("def (", repository)
        case "license":
            return row(other(number), repository, "AGPL-3.0-only")
        case "secret":
            return row(other(0), repository)
    return row(other(number), repository)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(KINDS, max_size=15), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing_and_none_is_lost(
    tmp_path: Path, kinds: list[str], rng: random.Random
) -> None:
    rows = [row_of(kind, number) for number, kind in enumerate([*kinds, "function"], start=1)]
    (tmp_path / "set.txt").write_text(other(0))
    config = replace(ROWS, max_per_package=3, evaluation_sets=(EvaluationSet("set", "set.txt"),))
    once = gathered(tmp_path, rows, config)
    counts, files = facts(tmp_path, "counts"), facts(tmp_path, "files")
    rng.shuffle(rows)
    assert gathered(tmp_path, rows, config) == once
    assert (counts, files) == (facts(tmp_path, "counts"), facts(tmp_path, "files"))
    assert sum(files.values()) == len(rows)
    pieces = len(rows) - kinds.count("broken") - kinds.count("license")
    assert sum(counts.values()) == pieces
    assert counts.get("in evaluation set: set", 0) == kinds.count("secret")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.integers(0, 20)), st.integers(3, 13))
def test_no_run_of_words_of_an_evaluation_set_survives(
    tmp_path: Path, secrets: set[int], words: int
) -> None:
    (tmp_path / "set.txt").write_text("\n".join(map(other, sorted(secrets))))
    sets = (EvaluationSet("set", "set.txt"),) if secrets else ()
    config = replace(ROWS, evaluation_sets=sets, ngram_words=words, min_ngram_words=words)
    kept = gathered(tmp_path, [row(other(n)) for n in range(22)] + [LAST], config)
    protected = EvaluationNgrams(words, words)
    protected.add("set", map(other, secrets))
    assert [each.name for each in kept if protected.overlap(each)] == []
    assert "Last" in {each.name for each in kept}


def test_an_evaluation_set_that_was_hit_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(other(1))
    (tmp_path / "b.txt").write_text(other(2))
    sets = tuple(EvaluationSet(name, f"{name}.txt") for name in "ab")
    gathered(tmp_path, [row(other(n)) for n in (1, 2, 3)], replace(ROWS, evaluation_sets=sets))
    counts = facts(tmp_path, "counts")
    assert counts == {"in evaluation set: a": 1, "in evaluation set: b": 1, "kept": 1}
    assert read_manifest(tmp_path / "corpus")["evaluation_sets"] == {
        name: {"texts": 1, "too_short": 0} for name in "ab"
    }


def test_a_language_nothing_cuts_is_kept_whole_when_it_is_short(tmp_path: Path) -> None:
    rows = [row("main = print 1\n", path="app/Main.hs"), row("x\n" * 600, path="Long.hs")]
    (found,) = gathered(tmp_path, rows)
    assert (found.name, found.signature) == ("Main", "app/Main.hs")
    assert (found.source, found.language) == ("main = print 1", "haskell")
    assert facts(tmp_path, "counts") == {"kept": 1, "too long": 1}


def test_languages_go_by_any_of_their_names(tmp_path: Path) -> None:
    rows = [row(FUNCTION, language="Python"), row(f"int x;\n{'int y;' * 9}\n", path="a.c")]
    (found,) = gathered(tmp_path, rows, replace(ROWS, languages=("Python3", "Brainfuck")))
    assert found.name == "clip"
    assert facts(tmp_path, "files")["language: c"] == 1


def test_licenses_and_languages_are_in_the_manifest(tmp_path: Path) -> None:
    rows = [row(other(1), spdx="ISC"), row(other(2)), row("main = 1", path="a.hs")]
    gathered(tmp_path, rows)
    assert facts(tmp_path, "licenses") == {"ISC": 1, "MIT": 2}
    assert facts(tmp_path, "languages") == {"haskell": 1, "python": 2}
    assert read_manifest(tmp_path / "corpus")["packages"] == 1


def test_large_corpora_come_in_shards(tmp_path: Path) -> None:
    kept = gathered(tmp_path, [row(other(n)) for n in range(5)], replace(ROWS, rows_per_shard=2))
    assert len(kept) == 5
    assert Counter(file.suffix for file in (tmp_path / "corpus").iterdir())[".jsonl"] == 3


def test_several_sources_make_one_corpus(tmp_path: Path) -> None:
    (tmp_path / "repositories" / "one").mkdir(parents=True)
    (tmp_path / "repositories" / "one" / "code.py").write_text(FUNCTION)
    sources = (*ROWS.sources, FolderSource("repositories", license="MIT"))
    kept = gathered(tmp_path, [row(FUNCTION, "two"), row(other(1))], replace(ROWS, sources=sources))
    assert [(s.package, s.name) for s in kept] == [("one", "clip"), ("r", "f1")]


def test_when_nothing_is_left_the_reasons_are_told(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="2 license: unknown"):
        gathered(tmp_path, [row(FUNCTION, spdx="")] * 2)
    assert not (tmp_path / "corpus").exists()

from collections import Counter
from pathlib import Path

import pytest

from trainer.corpus.gather import CorpusConfig, Package, packages, run, snippets
from trainer.corpus.snippet import read_snippets
from trainer.stage import StageError, read_manifest

CONFIG = CorpusConfig(folders=("src",), standard_library=False, installed=False)
FUNCTION = '''
@decorated
def clip(value, low, high):
    """Keep a value between two limits."""
    if value < low:
        return low
    if value > high:
        return high
    return value
'''


def package(folder: Path, *sources: str) -> Package:
    files = []
    for number, source in enumerate(sources):
        files.append(folder / f"m{number}.py")
        files[-1].write_text(source)
    return Package("p", "MIT", tuple(files))


def test_a_function_is_normalised_and_keeps_its_docstring_apart(tmp_path: Path) -> None:
    (snippet,) = snippets(package(tmp_path, FUNCTION), CONFIG, Counter())
    assert snippet.source.startswith("def clip(value, low, high):\n    if value < low:")
    assert snippet.docstring == "Keep a value between two limits."
    assert (snippet.name, snippet.signature) == ("clip", "clip(value, low, high)")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def stub():\n    pass", "too small"),
        (FUNCTION.replace("clip", "__call__"), "dunder"),
        (FUNCTION.replace("clip", "test_clip"), "test"),
        (FUNCTION.replace("low", "l" * 400), "too long"),
        ("def broken(:", "file unreadable"),
    ],
)
def test_what_is_left_out_is_counted(tmp_path: Path, source: str, reason: str) -> None:
    counts: Counter[str] = Counter()
    assert list(snippets(package(tmp_path, source), CONFIG, counts)) == []
    assert counts == {reason: 1}


def test_methods_are_found(tmp_path: Path) -> None:
    indented = FUNCTION.replace("\n", "\n    ")
    assert len(list(snippets(package(tmp_path, f"class A:{indented}"), CONFIG, Counter()))) == 1


def install(folder: Path, name: str, licence: str) -> None:
    """What pip leaves of a distribution of one module."""
    facts = folder / f"{name}-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{licence}\n")
    (facts / "RECORD").write_text(f"{name}.py,,\n")
    (folder / f"{name}.py").write_text(FUNCTION)


@pytest.mark.parametrize(
    ("licence", "kept"),
    [
        ("License-Expression: MIT OR Apache-2.0", True),
        ("Classifier: License :: OSI Approved :: BSD License", True),
        ("License: MIT", True),
        ("License-Expression: MIT AND GPL-3.0-only", False),
        (
            "Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)",
            False,
        ),
        ("Summary: no licence at all", False),
        ("License: The Unlicense (Unlicense)", True),
        ("License: Limited permission is granted", False),
        ("License: MIT with Commons Clause", False),
        ("License: Server Side Public License, SSPL, Apache", False),
    ],
)
def test_only_permissive_licences_are_read(tmp_path: Path, licence: str, kept: bool) -> None:
    install(tmp_path / "src", "alpha", licence)
    assert [p.name for p in packages(CONFIG, tmp_path)] == (["alpha"] if kept else [])


def test_the_order_in_which_an_installer_lists_files_is_nothing(tmp_path: Path) -> None:
    install(tmp_path / "src", "alpha", "License: MIT")
    (tmp_path / "src" / "aaa.py").write_text(FUNCTION)
    record = tmp_path / "src" / "alpha-1.dist-info" / "RECORD"
    record.write_text("alpha.py,,\naaa.py,,\n")
    (found,) = packages(CONFIG, tmp_path)
    assert [file.name for file in found.files] == ["aaa.py", "alpha.py"]


def test_a_plain_folder_is_one_package_a_subfolder(tmp_path: Path) -> None:
    for name in ("one", "two", "tests"):
        (tmp_path / "src" / name).mkdir(parents=True)
        (tmp_path / "src" / name / "code.py").write_text(FUNCTION)
    found = {p.name: len(p.files) for p in packages(CONFIG, tmp_path)}
    assert found == {"one": 1, "two": 1, "tests": 0}


def test_folders_above_the_corpus_may_have_any_name(tmp_path: Path) -> None:
    install(tmp_path / "tests" / "examples" / "src", "alpha", "License: MIT")
    (found,) = packages(CONFIG, tmp_path / "tests" / "examples")
    assert [file.name for file in found.files] == ["alpha.py"]


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="src"):
        packages(CONFIG, tmp_path)


def test_exact_and_near_duplicates_are_dropped_across_packages(tmp_path: Path) -> None:
    variants = [FUNCTION, FUNCTION, FUNCTION.replace("Keep", "Hold"), FUNCTION + "    # same\n"]
    near = FUNCTION.replace("return value\n", "return value + 0\n")
    for number, source in enumerate(
        [*variants, near, "def other(a):\n" + "    a += a * a - 1\n" * 4]
    ):
        (tmp_path / "src" / f"p{number}").mkdir(parents=True)
        (tmp_path / "src" / f"p{number}" / "code.py").write_text(source)
    run(CONFIG, tmp_path, tmp_path / "corpus")
    assert sorted(s.name for s in read_snippets(tmp_path / "corpus")) == [
        "clip",
        "other",
    ]
    counts = read_manifest(tmp_path / "corpus")["counts"]
    assert (counts["duplicate"], counts["near duplicate"], counts["kept"]) == (3, 1, 2)

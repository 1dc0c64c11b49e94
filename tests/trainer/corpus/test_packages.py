from collections import Counter
from pathlib import Path

import pytest

from trainer.corpus.packages import Package, files, packages
from trainer.pipeline.stage import StageError


def found(work: Path) -> list[Package]:
    return packages([work / "src"], standard_library=False, installed=False)


def install(folder: Path, name: str, stated: str) -> None:
    """What pip leaves of a distribution of one module."""
    facts = folder / f"{name}-1.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{stated}\n")
    (facts / "RECORD").write_text(f"{name}.py,,\n")
    (folder / f"{name}.py").write_text("x = 1\n")


@pytest.mark.parametrize(
    ("metadata", "kept"),
    [
        ("License-Expression: MIT OR Apache-2.0", True),
        ("Classifier: License :: OSI Approved :: BSD License", True),
        ("License: MIT", True),
        ("License-Expression: MIT AND GPL-3.0-only", False),
        (
            "Classifier: License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)",
            False,
        ),
        ("Summary: no license at all", False),
        ("License: The Unlicense (Unlicense)", True),
        ("License: Limited permission is granted", False),
        ("License: MIT with Commons Clause", False),
        ("License: Server Side Public License, SSPL, Apache", False),
    ],
)
def test_only_permissive_licenses_are_read(tmp_path: Path, metadata: str, kept: bool) -> None:
    install(tmp_path / "src", "alpha", metadata)
    assert [p.name for p in found(tmp_path)] == (["alpha"] if kept else [])


def test_the_order_in_which_an_installer_lists_files_is_nothing(tmp_path: Path) -> None:
    install(tmp_path / "src", "alpha", "License: MIT")
    (tmp_path / "src" / "aaa.py").write_text("x = 1\n")
    record = tmp_path / "src" / "alpha-1.dist-info" / "RECORD"
    record.write_text("alpha.py,,\naaa.py,,\n")
    (package,) = found(tmp_path)
    assert [file.name for file in package.files] == ["aaa.py", "alpha.py"]


def test_a_plain_folder_is_one_package_a_subfolder(tmp_path: Path) -> None:
    for name in ("one", "two", "tests"):
        (tmp_path / "src" / name).mkdir(parents=True)
        (tmp_path / "src" / name / "code.py").write_text("x = 1\n")
    assert {p.name: len(p.files) for p in found(tmp_path)} == {"one": 1, "two": 1, "tests": 0}


def test_folders_above_the_corpus_may_have_any_name(tmp_path: Path) -> None:
    install(tmp_path / "tests" / "examples" / "src", "alpha", "License: MIT")
    (package,) = found(tmp_path / "tests" / "examples")
    assert [file.name for file in package.files] == ["alpha.py"]


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="src"):
        found(tmp_path)


def test_a_file_is_read_with_its_provenance_or_counted(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text("x = 1\n")
    bad.write_bytes(b"x = '\xff'\n")
    counts: Counter[str] = Counter()
    (file,) = files([Package("p", "MIT", (good, bad, tmp_path / "gone.py"))], counts)
    assert (file.repository, file.license, file.language) == ("p", "MIT", "python")
    assert counts == {"no text": 2}

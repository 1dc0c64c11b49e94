"""Figures of a small made-up checkout, and the one figure that this checkout must keep."""

from pathlib import Path

import pytest

from benchmarks.structure import (
    ROOT,
    called_once,
    figures,
    line_count,
    read_sources,
    repeated_types,
    untested,
)

SOURCE = '''"""What a riddle is."""

LIMIT = 3  # requests, because the peer refuses a fourth
FLAG = 1  # noqa: E501


class Twice:
    """A type that another module defines, too."""


def _once(value: int) -> int:
    return value + 1


def _often() -> int:
    return _once(1)


def public() -> int:
    """Call a helper twice."""
    return _often() + _often()
'''


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Two packages of one distribution; one module has a test of its name."""
    for file, text in {
        "service/scoring/one.py": SOURCE,
        "trainer/two.py": "class Twice:\n    pass\n\n\ndef tested() -> None: ...\n",
        "client/codepmp_client/three.py": "class Twice:\n    pass\n",
        "tests/trainer/test_two.py": "",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


def test_a_helper_counts_where_its_file_names_it_once_more(checkout: Path) -> None:
    (source,) = read_sources(checkout, ("service",))
    assert [(one.name, line_count(one)) for one in called_once(source)] == [("_once", 2)]


def test_comments_for_tools_are_no_comments(checkout: Path) -> None:
    (source,) = read_sources(checkout, ("service",))
    assert source.comments == 1


def test_types_are_told_apart_within_a_distribution_only(checkout: Path) -> None:
    found = repeated_types(read_sources(checkout))
    assert found == {"Twice": [Path("service/scoring/one.py"), Path("trainer/two.py")]}


def test_a_module_is_tested_by_the_file_that_mirrors_it(checkout: Path) -> None:
    assert untested(checkout, read_sources(checkout)) == [Path("service/scoring/one.py")]


def test_the_figures_of_a_checkout(checkout: Path) -> None:
    found = figures(checkout)
    assert found["functions"] == 4
    assert found["private functions, %"] == 50
    assert found["notes that begin with Of, What, By which, Who"] == 1
    assert found["functions over 60 lines"] == 0


def test_no_type_name_is_defined_in_two_modules_of_a_distribution() -> None:
    assert repeated_types(read_sources(ROOT)) == {}

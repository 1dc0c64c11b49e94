"""Functions as they stand in a file, and which changes of them are changes of the program."""

import pytest

from trainer.history.functions import functions, meaning

METHOD = """\
class Pager:
\t@property
\tdef pages(self, total: int = 3) -> int:
\t\t# The last page may be short.
\t\treturn total // self.size + (total % self.size > 0) * 1

\tasync def wait(self): return None
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_method_is_cut_out_with_its_decorators_and_without_its_indentation(end: str) -> None:
    found = functions(f"# \f a form feed ends no line\n{METHOD}".replace("\n", end), "python")
    assert found is not None
    assert list(found) == ["Pager.pages", "Pager.wait"]
    assert found["Pager.pages"].text.startswith("@property\ndef pages(self, total: int = 3)")
    assert found["Pager.pages"].text.splitlines()[2] == "\t# The last page may be short."
    assert found["Pager.pages"].signature == "Pager.pages(self, total: int=3)"
    assert found["Pager.wait"].reason == "too small"


def test_two_functions_of_one_name_are_left_out() -> None:
    assert functions("def f(): return 1\ndef f(): return 2\ndef g(): return 3\n", "python") == {
        "g": (functions("def g(): return 3\n", "python") or {})["g"]
    }
    assert functions("def f(:", "python") is None


FUNCTION = (
    "def add(first: int, second: int) -> int:\n    result = first + second\n    return result\n"
)


@pytest.mark.parametrize(
    ("before", "after", "code", "shape"),
    [
        ("first + second", "(first +\n        second)  # both", True, True),
        (": int", "", True, True),
        ("    result", '    """Add."""\n    result', True, True),
        ("result", "total", False, True),
        ("first + second", "first - second", False, False),
        ("first + second", "second + first", False, False),
        ("first + second", "max(first, second)", False, False),
    ],
)
def test_layout_comments_and_local_names_are_no_change_of_the_program(
    before: str, after: str, code: bool, shape: bool
) -> None:
    old, new = meaning(FUNCTION, "python"), meaning(FUNCTION.replace(before, after), "python")
    assert old is not None
    assert new is not None
    assert (old.code == new.code, old.shape == new.shape) == (code, shape)


def test_another_called_function_is_no_other_name() -> None:
    calls = [meaning(f"def f(a):\n    return {name}(a)\n", "python") for name in ("min", "max")]
    assert calls[0] != calls[1]
    in_c = [meaning(f"int f(int a) {{ return {name}(a); }}", "c") for name in ("min", "max")]
    assert in_c[0] != in_c[1]

import pytest

from trainer.feedback.same_program import program_key

LOOP = """
def total(items):
    "Add up."
    result = 0
    for item in items:  # each
        result += item
    return result
"""
RENAMED = """
def total(xs):
    acc = 0

    for x in xs:
        acc += x
    return acc
"""


def test_layout_comments_and_docstrings_make_no_other_program() -> None:
    bare = LOOP.replace('    "Add up."\n', "").replace("  # each", "").replace("    ", "  ")
    assert program_key(LOOP, rename_locals=False) == program_key(bare, rename_locals=False)


def test_names_of_locals_count_only_if_they_are_not_renamed() -> None:
    assert program_key(LOOP) == program_key(RENAMED)
    assert program_key(LOOP, rename_locals=False) != program_key(RENAMED, rename_locals=False)


DIFFERENT = {
    "another function's name": (LOOP, LOOP.replace("def total", "def sum_up")),
    "another operator": (LOOP, LOOP.replace("+=", "-=")),
    "another variable": (
        "def f(a, b):\n    return a - b",
        "def f(a, b):\n    return b - a",
    ),
    "another global": ("def f(a):\n    return a + X", "def f(a):\n    return a + Y"),
    "a global that a function declares": (
        "def f():\n    x = 1\n    def g():\n        global x\n        return x\n    return g",
        "def f():\n    y = 1\n    def g():\n        global x\n        return y\n    return g",
    ),
    "an argument that is passed by name": (
        "def f():\n    g = lambda a, b: a - b\n    return g(a=1, b=2)",
        "def f():\n    g = lambda b, a: b - a\n    return g(a=1, b=2)",
    ),
    "an attribute of a class in a function": (
        "def f():\n    x = 1\n    class A:\n        x = 2\n    return A.x",
        "def f():\n    y = 1\n    class A:\n        y = 2\n    return A.x",
    ),
    "text that is no Python": ("def f(:", "def g(:"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_programs_that_may_do_something_else_are_kept_apart(what: str) -> None:
    one, other = DIFFERENT[what]
    assert program_key(one) != program_key(other)


SAME = {
    "a comprehension": (
        "def f(xs):\n    return [x for x in xs if x]",
        "def f(ys):\n    return [y for y in ys if y]",
    ),
    "a nested function": (
        "def f(n):\n    def go(k):\n        return go(k - n)\n    return go(n)",
        "def f(m):\n    def h(i):\n        return h(i - m)\n    return h(m)",
    ),
    "a handler of errors": (
        "def f():\n    try:\n        pass\n    except ValueError as e:\n        return e",
        "def f():\n    try:\n        pass\n    except ValueError as error:\n        return error",
    ),
    "an outer variable": (
        "def f():\n    n = 0\n    def g():\n        nonlocal n\n        n += 1\n    return g",
        "def f():\n    c = 0\n    def g():\n        nonlocal c\n        c += 1\n    return g",
    ),
    "a method": (
        "class A:\n    def f(self, x):\n        return self.y + x",
        "class A:\n    def f(this, z):\n        return this.y + z",
    ),
    "white space after text that is no Python": ("def f(:  \n", "def f(:"),
}


@pytest.mark.parametrize("what", SAME)
def test_programs_that_differ_in_names_alone_are_one(what: str) -> None:
    one, other = SAME[what]
    assert program_key(one) == program_key(other)


@pytest.mark.parametrize("code", ["(" * 5000, "\0", "x = '\ud800'", "", "def f():\n    'text'"])
def test_any_text_has_a_key(code: str) -> None:
    assert program_key(code) == program_key(code)

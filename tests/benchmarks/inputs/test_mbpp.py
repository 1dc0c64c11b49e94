import gzip
import json
from pathlib import Path

from benchmarks.inputs.mbpp import FILE, normalise, passes, read_problems


def test_layout_comments_and_docstrings_are_gone() -> None:
    written = '''
"""Module."""
import   os  # for nothing
class A :
    """Class."""
    async def f( self ):
        """Method."""
def g(x): return (x)
'''
    assert normalise(written) == (
        "import os\n\nclass A:\n\n    async def f(self):\n        pass\n\ndef g(x):\n    return x"
    )


def test_normalising_again_changes_nothing() -> None:
    once = normalise("def f(x):\n  'doc'\n  return f'{x!r:>{10}}' + \"it's\"\n")
    assert normalise(once) == once


def test_what_is_set_up_may_use_what_the_solution_defines(tmp_path: Path) -> None:
    row = {
        "task_id": 1,
        "text": " Write a node. ",
        "code": "class Node:\r\n\tdef __init__(self, data):\r\n\t\tself.data = data\r\n",
        "test_setup_code": "root = Node(1)",
        "test_list": ["assert root.data == 1"],
    }
    with gzip.open(tmp_path / FILE, "wt") as stream:
        stream.write(json.dumps(row))
    (problem,) = read_problems(tmp_path)
    assert problem.prompt == "Write a node."
    assert passes(problem.reference, problem)
    assert not passes(problem.reference.replace("= data", "= None"), problem)

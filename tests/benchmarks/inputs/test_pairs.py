import gzip
import json
from pathlib import Path

from benchmarks.inputs.candidates import FILE
from benchmarks.inputs.pairs import read_pairs

PROBLEM = {
    "id": "p",
    "prompt": "How many?",
    "candidates": [
        {"model": "one/small", "text": "2", "correct": True},
        {"model": "one/large", "text": "3", "correct": False},
        {"model": "one/large", "text": "4", "correct": False},
        {"model": "two/large", "text": "two", "correct": True},
        {"model": "two/large", "text": "five", "correct": False},
    ],
}


def test_a_right_solution_meets_wrong_ones_of_its_own_family(tmp_path: Path) -> None:
    with gzip.open(tmp_path / FILE, "wt") as stream:
        stream.write(json.dumps(PROBLEM) + "\n")
    found = {row.chosen: {c.text for c in row.rejected} for row in read_pairs(tmp_path, rivals=1)}
    assert found.keys() == {"2", "two"}
    assert found["two"] == {"five"}
    assert found["2"] < {"3", "4"}
    assert len(read_pairs(tmp_path, rivals=3, same_family=False)) == 2
    (row,) = read_pairs(tmp_path, rivals=2)
    assert {c.text for c in row.rejected} == {"3", "4"}

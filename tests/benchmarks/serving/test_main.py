import argparse

import pytest

from benchmarks.inputs.dialects import DIALECTS
from benchmarks.serving.__main__ import Server, parse_url


def test_a_running_server_is_named_with_its_dialect() -> None:
    found = parse_url("theirs=openrlhf=http://127.0.0.1:5000/a=b")
    assert found == Server("theirs", DIALECTS["openrlhf"], url="http://127.0.0.1:5000/a=b")


@pytest.mark.parametrize("argument", ["http://127.0.0.1", "a=b=c", "a=native="])
def test_what_names_no_server_is_refused(argument: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=DIALECT=URL"):
        parse_url(argument)

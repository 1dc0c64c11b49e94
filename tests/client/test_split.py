"""However a call is split, nothing is lost, doubled or moved."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codepmp_client.errors import VersionChanged
from codepmp_client.inputs import Input
from codepmp_client.results import Score
from codepmp_client.split import Request, join, split
from codepmp_client.wire import ScoreResponse

calls = st.lists(st.integers(1, 20), max_size=12).map(
    lambda sizes: [
        Input(f"prompt {of}", [f"{of}.{at}" for at in range(size)]) for of, size in enumerate(sizes)
    ]
)


def sizes_of(request: Request) -> list[int]:
    return [len(piece.part.candidates) for piece in request]


@given(calls, st.integers(1, 25))
def test_a_split_keeps_order_and_bounds(inputs: list[Input], most: int) -> None:
    requests = split(inputs, most)
    assert all(1 <= sum(sizes_of(request)) <= most for request in requests)
    sent = [
        (piece.part.prompt, candidate)
        for request in requests
        for piece in request
        for candidate in piece.part.candidates
    ]
    assert sent == [(entry.prompt, candidate) for entry in inputs for candidate in entry.candidates]


@given(calls, st.integers(1, 25))
def test_what_fits_into_a_request_stays_in_one(inputs: list[Input], most: int) -> None:
    pieces = [piece.index for request in split(inputs, most) for piece in request]
    for of, entry in enumerate(inputs):
        assert pieces.count(of) == -(-len(entry.candidates) // most)


@given(calls, st.integers(1, 25))
def test_joined_answers_are_the_inputs_results(inputs: list[Input], most: int) -> None:
    requests = split(inputs, most)
    results = join(requests, [answer_to(request) for request in requests])
    assert [[score.tokens for score in result.scores] for result in results] == [
        [number(str(candidate)) for candidate in entry.candidates] for entry in inputs
    ]


def number(candidate: str) -> int:
    of, at = candidate.split(".")
    return 1000 * int(of) + int(at)


def answer_to(request: Request, version: str = "1") -> ScoreResponse:
    scores = tuple(
        tuple(Score(0.0, None, tokens=number(str(c))) for c in piece.part.candidates)
        for piece in request
    )
    return ScoreResponse("rm", version, scores)


def test_scores_of_different_versions_are_not_put_side_by_side() -> None:
    requests = split([Input("p", ["0.0", "0.1"])], 1)
    with pytest.raises(VersionChanged, match="from rm 1 to rm 2"):
        join(requests, [answer_to(requests[0], "1"), answer_to(requests[1], "2")])

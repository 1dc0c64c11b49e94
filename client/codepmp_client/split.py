"""A call becomes requests, and their answers its results. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from codepmp_client.errors import VersionChanged
from codepmp_client.inputs import Input
from codepmp_client.results import Result
from codepmp_client.wire import ScoreResponse


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring candidates of the call's input number `of`: all of them, if they fit."""

    of: int
    part: Input


Request = tuple[Piece, ...]


def split(inputs: Sequence[Input], most: int) -> list[Request]:
    """Requests of at most `most` candidates, in order. Only an input with more is parted."""
    requests: list[list[Piece]] = []
    room = 0
    for piece in _pieces(inputs, most):
        size = len(piece.part.candidates)
        if size > room:
            requests.append([])
            room = most
        requests[-1].append(piece)
        room -= size
    return list(map(tuple, requests))


def _pieces(inputs: Sequence[Input], most: int) -> Iterator[Piece]:
    for of, entry in enumerate(inputs):
        for start in range(0, len(entry.candidates), most):
            yield Piece(of, Input(entry.prompt, entry.candidates[start : start + most]))


def join(requests: Sequence[Request], answers: Sequence[ScoreResponse]) -> list[Result]:
    """The inputs' results, in order.

    Raises:
        VersionChanged: the parts of one input were scored by different models.
    """
    results: list[Result] = []
    for request, answer in zip(requests, answers, strict=True):
        for piece, scores in zip(request, answer.scores, strict=True):
            result = Result(scores, answer.model, answer.version, answer.score_type)
            if piece.of < len(results):
                result = _append(results.pop(), result)
            results.append(result)
    return results


def _append(first: Result, more: Result) -> Result:
    if (first.model, first.version) != (more.model, more.version):
        raise VersionChanged(
            f"the server changed from {first.model} {first.version} to {more.model} "
            f"{more.version} between two requests for one prompt: ask again"
        )
    return replace(first, scores=first.scores + more.scores)

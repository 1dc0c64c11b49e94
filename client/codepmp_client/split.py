"""Splits a call into requests, and joins their responses into its results. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from codepmp_client.errors import VersionChanged
from codepmp_client.inputs import Input
from codepmp_client.results import Result
from codepmp_client.wire import ScoreResponse


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive candidates of one input of the call; all of them, if they fit into a request.

    Attributes:
        index: the input's index in the call.
    """

    index: int
    part: Input


Request = tuple[Piece, ...]


def split(inputs: Sequence[Input], max_candidates: int) -> list[Request]:
    """Divide a call into requests of at most `max_candidates` candidates each, in order.

    Candidates of one prompt stay together, so that the server computes the prompt once; only an
    input with more than `max_candidates` is divided.
    """
    requests: list[list[Piece]] = []
    room = 0
    for index, entry in enumerate(inputs):
        for start in range(0, len(entry.candidates), max_candidates):
            candidates = entry.candidates[start : start + max_candidates]
            if len(candidates) > room:
                requests.append([])
                room = max_candidates
            requests[-1].append(Piece(index, replace(entry, candidates=candidates)))
            room -= len(candidates)
    return list(map(tuple, requests))


def join(requests: Sequence[Request], responses: Sequence[ScoreResponse]) -> list[Result]:
    """Return the inputs' results, in order.

    Raises:
        VersionChanged: pieces of one input were scored by different models.
    """
    results: list[Result] = []
    for request, response in zip(requests, responses, strict=True):
        for piece, scores in zip(request, response.scores, strict=True):
            result = Result(scores, response.model, response.version, response.score_type)
            # An input that was divided already has a result, the last one: pieces come in order.
            if piece.index < len(results):
                first = results.pop()
                if (first.model, first.version) != (result.model, result.version):
                    raise VersionChanged(
                        f"the server changed from {first.model} {first.version} to {result.model} "
                        f"{result.version} between two requests for one prompt: score it again"
                    )
                result = replace(first, scores=first.scores + result.scores)
            results.append(result)
    return results

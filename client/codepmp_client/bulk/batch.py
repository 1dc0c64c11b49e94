"""Scores many rows at once: a prompt is sent once, and a request that fails costs its own rows."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from http import HTTPStatus

from codepmp_client.bulk.columns import INVALID, RowInput, RowScores
from codepmp_client.bulk.row_values import Unscorable
from codepmp_client.client import AsyncRewardClient
from codepmp_client.errors import (
    DeadlineExceeded,
    Refused,
    RewardError,
    ServerFault,
    VersionChanged,
)
from codepmp_client.inputs import BULK, Candidate, Input, Options
from codepmp_client.results import ItemError, Score

# A request of about 16,000 tokens keeps a server busy for a while, and is small beside its queue
# and its limit on bodies. A row that is larger goes alone.
REQUEST_CHARACTERS = 48_000
REQUEST_CANDIDATES = 64

# These say that something in the request is at fault, and not the whole run.
_FAULTY = frozenset(
    {
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
    }
)

Gate = Callable[[], AbstractAsyncContextManager[object]]
"""Entered for each request; limits how many are in flight."""


@dataclass(slots=True)
class _Wanted:
    """One candidate that is sent, and the places in the rows that get its score."""

    candidate: Candidate
    size: int
    places: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Group:
    """Candidates of one prompt."""

    row: RowInput
    prompt_size: int
    wanted: list[_Wanted]


async def score_batch(
    rows: Sequence[RowInput],
    client: AsyncRewardClient,
    options: Options = BULK,
    *,
    gate: Gate = nullcontext,
    scored: Callable[[int, RowScores], None] | None = None,
) -> list[RowScores]:
    """Score the candidates of many rows; one result for each row, in order.

    Rows with the same prompt share an input, and the same candidate of it is sent once. A request
    that the server refuses or fails on is divided until the one candidate at fault has the error.

    Args:
        gate: entered for each request.
        scored: called with a row's index as soon as it has all its scores, so that they can be
            kept even if another request fails the call.

    Raises:
        RewardError: the servers cannot be reached, refuse every request, or changed their version
            in the middle of a row.
    """
    results: list[RowScores | None] = [None] * len(rows)
    collected = _Collected(rows, results, scored)

    async def run(groups: list[_Group], may_be_late: bool = True) -> None:
        inputs = [Input(g.row.prompt, [w.candidate for w in g.wanted], g.row.tools) for g in groups]
        try:
            async with gate():
                answers = await client.score_many(inputs, options)
        except (Refused, ServerFault, DeadlineExceeded) as error:
            if isinstance(error, Refused) and error.status not in _FAULTY:
                raise
            halves = _halve(groups)
            if isinstance(error, DeadlineExceeded):
                # A slow server may have answered a smaller request, and one that hangs no request.
                if halves is None or not may_be_late:
                    raise
                may_be_late = False
            if halves is None:
                collected.add_error(groups[0].wanted[0], error)
                return
            for half in halves:
                await run(half, may_be_late)
            return
        for group, answer in zip(groups, answers, strict=True):
            for wanted, score in zip(group.wanted, answer.scores, strict=True):
                collected.add(wanted, score, answer.model, answer.version)

    try:
        async with asyncio.TaskGroup() as tasks:
            for request in _requests(collected.group()):
                tasks.create_task(run(request))
    except ExceptionGroup as failures:
        # The first failure is the cause; the others are tasks that it cancelled.
        raise failures.exceptions[0] from None
    return [result or RowScores(()) for result in results]


class _Collected:
    """Scores as they come, until each row has all of its own."""

    def __init__(
        self,
        rows: Sequence[RowInput],
        results: list[RowScores | None],
        scored: Callable[[int, RowScores], None] | None,
    ) -> None:
        self._rows, self._results, self._scored = rows, results, scored
        self._scores: list[list[Score | None]] = [[None] * len(row.candidates) for row in rows]
        self._missing = [len(row.candidates) for row in rows]
        self._models: list[tuple[str, str] | None] = [None] * len(rows)

    def group(self) -> list[_Group]:
        """Bring the candidates of one prompt together, in the order in which prompts first occur.

        A candidate that is not Unicode has its error at once.
        """
        groups: dict[str, _Group] = {}
        wanted_of: dict[tuple[str, str], _Wanted] = {}
        broken: list[_Wanted] = []
        for index, row in enumerate(self._rows):
            if not row.candidates:
                self._finish(index)
            prompt = json.dumps([row.prompt, row.tools], ensure_ascii=False)
            group = groups.setdefault(prompt, _Group(row, len(prompt), []))
            for position, candidate in enumerate(row.candidates):
                if isinstance(candidate, Unscorable):
                    unsent = _Wanted("", 0, [(index, position)])
                    self.add(unsent, _failed(INVALID, str(candidate)))
                    continue
                text = json.dumps(candidate, ensure_ascii=False)
                wanted = wanted_of.get((prompt, text))
                if wanted is None:
                    wanted = wanted_of[prompt, text] = _Wanted(candidate, len(text))
                    try:
                        text.encode()
                    except UnicodeEncodeError:
                        broken.append(wanted)
                    else:
                        group.wanted.append(wanted)
                wanted.places.append((index, position))
        for wanted in broken:
            reason = "the candidate holds half a surrogate pair, which is not Unicode"
            self.add(wanted, _failed("unencodable", reason))
        return [group for group in groups.values() if group.wanted]

    def add(
        self, wanted: _Wanted, score: Score, model: str | None = None, version: str | None = None
    ) -> None:
        """Give a score to all places that want it."""
        for index, position in wanted.places:
            self._scores[index][position] = score
            self._missing[index] -= 1
            if model is not None and version is not None:
                first = self._models[index] or (model, version)
                if first != (model, version):
                    raise VersionChanged(
                        f"the servers changed from {' '.join(first)} to {model} {version} in the "
                        "middle of a row: score it again"
                    )
                self._models[index] = first
            if not self._missing[index]:
                self._finish(index)

    def add_error(self, wanted: _Wanted, error: RewardError) -> None:
        # A proxy's error has no code.
        code = "internal_error" if isinstance(error, ServerFault) else f"http_{error.status}"
        self.add(wanted, _failed(error.code or code, error.message))

    def _finish(self, index: int) -> None:
        scores = tuple(score for score in self._scores[index] if score is not None)
        result = RowScores(scores, *(self._models[index] or (None, None)))
        self._results[index] = result
        if self._scored:
            self._scored(index, result)


def _failed(code: str, message: str) -> Score:
    return Score(raw=None, normalized=None, tokens=0, error=ItemError(code, message))


def _requests(groups: Sequence[_Group]) -> Iterator[list[_Group]]:
    """Divide groups into requests of a sensible size; candidates of one prompt stay together."""
    request: list[_Group] = []
    characters = candidates = 0
    for group in groups:
        for piece in _pieces(group):
            size = piece.prompt_size + sum(wanted.size for wanted in piece.wanted)
            full = (
                characters + size > REQUEST_CHARACTERS
                or candidates + len(piece.wanted) > REQUEST_CANDIDATES
            )
            if request and full:
                yield request
                request, characters, candidates = [], 0, 0
            request.append(piece)
            characters += size
            candidates += len(piece.wanted)
    if request:
        yield request


def _pieces(group: _Group) -> Iterator[_Group]:
    """Divide a group that is too large for one request."""
    piece: list[_Wanted] = []
    characters = 0
    for wanted in group.wanted:
        if piece and (
            len(piece) >= REQUEST_CANDIDATES or characters + wanted.size > REQUEST_CHARACTERS
        ):
            yield _Group(group.row, group.prompt_size, piece)
            piece, characters = [], 0
        piece.append(wanted)
        characters += wanted.size
    yield _Group(group.row, group.prompt_size, piece)


def _halve(groups: list[_Group]) -> tuple[list[_Group], list[_Group]] | None:
    """Two halves of a request; None if it has one candidate."""
    if len(groups) > 1:
        middle = len(groups) // 2
        return groups[:middle], groups[middle:]
    (group,) = groups
    if len(group.wanted) == 1:
        return None
    middle = len(group.wanted) // 2
    first, second = group.wanted[:middle], group.wanted[middle:]
    return (
        [_Group(group.row, group.prompt_size, first)],
        [_Group(group.row, group.prompt_size, second)],
    )

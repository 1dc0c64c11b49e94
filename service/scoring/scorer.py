"""The way of a scoring request: admit -> encode -> submit -> calibrate. All of it on one screen."""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from reward_model.text.encoding import Rendered
from service.errors import DeadlineExceeded, InvalidRequest, ItemError
from service.scheduling.admission import Admission, Reservation
from service.scheduling.batcher import Batcher
from service.scheduling.queue import Job, JobResult
from service.scheduling.throughput import ThroughputEstimator
from service.scoring.encode_pool import Encoded, EncodePool
from service.scoring.model import Model
from service.scoring.result_cache import ResultCache
from service.scoring.types import (
    Chat,
    Input,
    Item,
    ItemScore,
    Prerendered,
    Scored,
    ScoringRequest,
    Timings,
    TokenIds,
)

_NO_STEPS = (
    "this model reads a text as a whole and has no scores of single steps: leave out steps, or "
    "serve a causal model"
)

_CHARACTERS_PER_TOKEN = 3
"""Low for prose and code: before encoding, room is rather over- than underestimated."""


class Scorer:
    """Scores requests for one model.

    Args:
        pace: the model's, as its batches tell.
        clock: gives seconds, the same as the batcher's.
    """

    def __init__(
        self,
        model: Model,
        admission: Admission,
        pace: ThroughputEstimator,
        pool: EncodePool,
        batcher: Batcher,
        cache: ResultCache,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._admission = admission
        self._pace = pace
        self._pool = pool
        self._batcher = batcher
        self._cache = cache
        self._clock = clock

    async def score(self, ask: ScoringRequest) -> Scored:
        """Score every candidate; one that cannot be scored carries its own error.

        Raises:
            QueueFull, Draining: refused before any work was done.
            DeadlineExceeded: `ask.timeout` passed; what had not run by then never will.
            InvalidRequest: steps are asked of a model that has none.
        """
        if ask.wants_steps and not self._model.engine.facts.reads_steps:
            raise InvalidRequest(_NO_STEPS, param="steps")
        started = self._clock()
        try:
            async with asyncio.timeout(ask.timeout):
                with self._admit(ask) as place:
                    admitted = self._clock()
                    subjects = [one for entry in ask.inputs for one in entry.subjects()]
                    encoded = await self._pool.encode(subjects, ask.over_length, ask.priority)
                    known = self._recall(encoded)
                    submitted = self._clock()
                    jobs = await self._submit(ask, encoded, known, place, started)
                    await asyncio.gather(*(job.answer for job in jobs.values()))
        except TimeoutError:
            raise DeadlineExceeded("timeout_ms passed before every candidate was scored") from None
        items = [
            known.get(index) or self._item(entry, jobs.get(index))
            for index, entry in enumerate(encoded)
        ]
        return Scored(
            model=self._model.name,
            version=self._model.release.version,
            inputs=_per_input(ask, items),
            computed_tokens=sum(job.computed for job in jobs.values()),
            saved_tokens=sum(job.tokens - job.computed for job in jobs.values()),
            timings=_timings(started, admitted, submitted, self._clock(), list(jobs.values())),
        )

    def _admit(self, ask: ScoringRequest) -> AbstractContextManager[Reservation]:
        tokens = self.estimate(ask)
        return self._admission.admit(ask.priority, ask.items, tokens, self._pace, ask.timeout)

    async def encode(self, subject: Item) -> tuple[int, ...] | ItemError:
        """The token ids that would be scored, or why there are none."""
        ask = ScoringRequest((Prerendered(subject),))
        with self._admit(ask):
            (encoded,) = await self._pool.encode([subject])
        if isinstance(encoded, Encoded):
            return encoded.sequence.ids
        assert encoded.error is not None
        return encoded.error

    def estimate(self, ask: ScoringRequest) -> int:
        """New tokens, roughly, from the numbers of characters alone."""
        return sum(self._estimate_input(entry) for entry in ask.inputs)

    def _estimate_input(self, entry: Input | Prerendered) -> int:
        if isinstance(entry, Prerendered):
            return min(self._model.engine.facts.max_tokens, _tokens_of(entry.subject))
        prompt = sum(self._roughly(message.content) for message in entry.prompt)
        answers = sum(self._roughly(candidate) for candidate in entry.candidates)
        repeats = 1 if self._model.engine.facts.shares_prefixes else len(entry.candidates)
        return prompt * repeats + answers

    def _roughly(self, text: str) -> int:
        """What is too long for the engine costs it nothing, so none counts for more than fits."""
        return min(self._model.engine.facts.max_tokens, _roughly(text))

    def _recall(self, encoded: list[Encoded | ItemScore]) -> dict[int, ItemScore]:
        """What has been scored before and needs no job, by its index in `encoded`."""
        scores = {
            index: (entry, self._cache.get(entry.sequence))
            for index, entry in enumerate(encoded)
            if isinstance(entry, Encoded)
        }
        return {
            index: self._scored(entry, (score,), cached=True)
            for index, (entry, score) in scores.items()
            if score is not None
        }

    async def _submit(
        self,
        ask: ScoringRequest,
        encoded: list[Encoded | ItemScore],
        known: dict[int, ItemScore],
        place: Reservation,
        started: float,
    ) -> dict[int, Job]:
        """Queue what could be encoded and is not known: index in `encoded` -> job."""
        sequences = {
            index: entry.sequence
            for index, entry in enumerate(encoded)
            if isinstance(entry, Encoded) and index not in known
        }
        plan = await self._pool.plan(sequences, ask.priority)
        place.hold(len(plan), sum(plan.values()))
        deadline = math.inf if ask.timeout is None else started + ask.timeout
        now, loop = self._clock(), asyncio.get_running_loop()
        jobs = {}
        for index, tokens in plan.items():
            answer: asyncio.Future[JobResult] = loop.create_future()
            answer.add_done_callback(partial(_give_back, place, tokens))
            sequence = sequences[index]
            jobs[index] = Job(sequence, ask.priority, answer, now, deadline, held=tokens)
        self._batcher.submit(list(jobs.values()))
        return jobs

    def _item(self, encoded: Encoded | ItemScore, job: Job | None) -> ItemScore:
        if isinstance(encoded, ItemScore):
            return encoded
        assert job is not None
        answer = job.answer.result()
        if isinstance(answer, ItemError):
            return ItemScore(job.tokens, error=answer, dropped=encoded.dropped)
        if len(answer) == 1:
            self._cache.put(job.sequence, answer[0])
        return self._scored(encoded, answer)

    def _scored(
        self, encoded: Encoded, scores: tuple[float, ...], *, cached: bool = False
    ) -> ItemScore:
        calibration = self._model.release.calibration
        *steps, raw = scores
        return ItemScore(
            len(encoded.sequence.ids),
            raw,
            calibration.apply(raw) if calibration else None,
            cached=cached,
            steps=tuple(steps),
            dropped=encoded.dropped,
        )


def _tokens_of(subject: Item) -> int:
    match subject:
        case Chat(conversation):
            return sum(_roughly(message.content) for message in conversation)
        case TokenIds(ids):
            return len(ids)
        case Rendered(text):
            return _roughly(text)


def _roughly(text: str) -> int:
    return 1 + len(text) // _CHARACTERS_PER_TOKEN


def _give_back(place: Reservation, tokens: int, _: "asyncio.Future[JobResult]") -> None:
    place.give_back(tokens)


def _per_input(ask: ScoringRequest, items: list[ItemScore]) -> tuple[tuple[ItemScore, ...], ...]:
    remaining = iter(items)
    return tuple(
        tuple(next(remaining) for _ in (entry.candidates if isinstance(entry, Input) else (entry,)))
        for entry in ask.inputs
    )


def _timings(
    started: float, admitted: float, submitted: float, ended: float, jobs: list[Job]
) -> Timings:
    first = min((job.started_at for job in jobs), default=submitted)
    last = max((job.finished_at for job in jobs), default=submitted)
    return Timings(
        started=started,
        admit=admitted - started,
        encode=submitted - admitted,
        queue=first - submitted,
        infer=last - first,
        total=ended - started,
    )

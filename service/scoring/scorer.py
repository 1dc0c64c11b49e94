"""Scores a request, on one screen: admit -> encode -> look up -> submit -> calibrate."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from reward_model.text.chat import Conversation
from service.errors import DeadlineExceeded, InvalidRequest, ItemError
from service.scheduling.admission import Admission, Reservation
from service.scheduling.batcher import Batcher
from service.scheduling.queue import Job, JobResult
from service.scheduling.throughput import ThroughputEstimator
from service.scoring.criteria import calibrated, default_weights
from service.scoring.encode_pool import Encoded, EncodePool, encoding_cost
from service.scoring.model import Model
from service.scoring.result_cache import ResultCache
from service.scoring.types import (
    CHARACTERS_PER_TOKEN,
    Chat,
    Item,
    ItemScore,
    ScoringRequest,
    ScoringResult,
    Timings,
    TokenIds,
)

_NOT_NORMALIZED = (
    "the normalized score is not a finite number: the standard deviation of this model's "
    "calibration is too small"
)


@dataclass(slots=True)
class _Item:
    """One item on its way. It ends with an `error`, known scores, or a `job` that leads to some.

    Attributes:
        known: scores of an earlier request, one for each label of the model.
    """

    item: Item
    encoded: Encoded | None = None
    job: Job | None = None
    known: tuple[float, ...] | None = None
    error: ItemScore | None = None


class Scorer:
    """Scores requests with one model.

    Args:
        throughput: how fast this model's engine works.
        clock: gives seconds; the batcher uses the same clock.
    """

    def __init__(
        self,
        model: Model,
        admission: Admission,
        throughput: ThroughputEstimator,
        encode_pool: EncodePool,
        batcher: Batcher,
        cache: ResultCache,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._admission = admission
        self._throughput = throughput
        self._encode_pool = encode_pool
        self._batcher = batcher
        self._cache = cache
        self._clock = clock

    async def score(
        self,
        request: ScoringRequest,
        estimated_tokens: int | None = None,
        spend: Callable[[int], None] = lambda _: None,
    ) -> ScoringResult:
        """Score every item; one that cannot be scored carries its own error.

        Args:
            estimated_tokens: what `estimate` gave for this request; None estimates it here.
            spend: told the tokens of work as it is done, and of computing as soon as it is queued;
                negative where that was too much.

        Raises:
            QueueFull, Draining: the request was refused before any work was done.
            DeadlineExceeded: `request.timeout` passed; jobs that had not run by then never will.
            InvalidRequest: steps or criteria are asked of a model that does not have them.
        """
        if request.wants_steps and not self._model.engine.facts.reads_steps:
            raise InvalidRequest(
                "this model reads a text as a whole and has no scores of single steps: leave out "
                "steps, or serve a causal model",
                param="steps",
            )
        started = self._clock()
        weights = self._model.criteria.weights_of(request.criteria)
        spread = self._model.criteria.spread(request, weights)
        groups = [[_Item(item) for item in group] for group in spread.inputs]
        items = [item for group in groups for item in group]
        tokens = self.estimate(request) if estimated_tokens is None else estimated_tokens
        try:
            async with asyncio.timeout(request.timeout):
                with self._admission.admit(
                    request.priority, len(items), tokens, self._throughput, request.timeout
                ) as reservation:
                    admitted = self._clock()
                    await self._encode(request, items, spend)
                    submitted = self._clock()
                    jobs = await self._submit(request, items, reservation, started, spend)
                    # A cancelled gather cancels the answers, and the queue drops their jobs.
                    await asyncio.gather(*(job.answer for job in jobs))
        except TimeoutError:
            raise DeadlineExceeded("timeout_ms passed before every candidate was scored") from None
        for item in items:
            self._remember(item)
        inputs = self._joined(request, weights, groups)
        computed_tokens = sum(job.computed_tokens for job in jobs)
        spend(computed_tokens - sum(job.reserved_tokens for job in jobs))
        return ScoringResult(
            model=self._model.name,
            version=self._model.release.version,
            inputs=inputs,
            computed_tokens=computed_tokens,
            # Scores of steps may take more tokens than the text has.
            saved_tokens=sum(max(0, job.tokens - job.computed_tokens) for job in jobs),
            timings=self._timings(started, admitted, submitted, jobs),
        )

    async def tokenize(
        self,
        item: Item,
        estimated_tokens: int | None = None,
        spend: Callable[[int], None] = lambda _: None,
    ) -> tuple[int, ...] | ItemError:
        """Return the token ids that would be scored, or the error that `score` would give.

        Raises:
            QueueFull, Draining: as in `score`, because encoding is work, too.
        """
        if estimated_tokens is None:
            estimated_tokens = self.estimate(ScoringRequest(((item,),)))
        # The admission ends with the encoding, since nothing is computed afterwards.
        with self._admission.admit("interactive", 1, estimated_tokens, self._throughput):
            (encoded,) = await self._encode_pool.encode(self._model, [item])
        if isinstance(encoded, Encoded):
            # Nothing is computed, so the tokens themselves are what the request costs.
            spend(len(encoded.sequence.ids))
            return encoded.sequence.ids
        spend(encoding_cost(encoded))
        assert encoded.error is not None
        return encoded.error

    def estimate(self, request: ScoringRequest) -> int:
        """Estimate the request's new tokens from its numbers of characters, without encoding.

        Raises:
            InvalidRequest: criteria are asked of a model that does not have them.
        """
        criteria = self._model.criteria
        request = criteria.spread(request, criteria.weights_of(request.criteria))
        max_tokens = self._model.engine.facts.max_tokens
        shares_prefixes = self._model.engine.facts.shares_prefixes

        def tokens(text: str) -> int:
            # A text that is too long is refused and costs the engine nothing.
            return min(max_tokens, 1 + len(text) // CHARACTERS_PER_TOKEN)

        total = 0
        for group in request.inputs:
            prompt: Conversation | None = None
            prompt_tokens = 0
            for item in group:
                match item:
                    case TokenIds(ids):
                        # Too many are refused, and that is known without any encoding.
                        total += len(ids) if len(ids) <= max_tokens else 0
                    case Chat(turns, answer, _, inputs):
                        # Compared by identity first, because a prompt may have thousands of turns.
                        repeats = turns is prompt or turns == prompt
                        if not repeats:
                            prompt = turns
                            prompt_tokens = sum(tokens(turn.content + turn.extra) for turn in turns)
                            # What is not there is no text, and costs not even one token.
                            shown = filter(None, (inputs.tools, inputs.kwargs))
                            prompt_tokens += sum(map(tokens, shown))
                        # The answers of a group share their prompt, which is then computed once.
                        if not (repeats and shares_prefixes):
                            total += prompt_tokens
                        total += tokens(answer.content + answer.extra)
                    case _:
                        total += tokens(item.text)
        return total

    async def _encode(
        self, request: ScoringRequest, items: list[_Item], spend: Callable[[int], None]
    ) -> None:
        """Encode every item, and look up the scores that are known from earlier requests."""
        encoded = await self._encode_pool.encode(
            self._model, [item.item for item in items], request.over_length, request.priority, spend
        )
        for item, entry in zip(items, encoded, strict=True):
            if isinstance(entry, ItemScore):
                item.error = entry
                continue
            item.encoded, item.known = entry, self._cache.get(entry.sequence)

    async def _submit(
        self,
        request: ScoringRequest,
        items: list[_Item],
        reservation: Reservation,
        started: float,
        spend: Callable[[int], None],
    ) -> list[Job]:
        """Queue a job for every item that has no score yet."""
        waiting = [item for item in items if item.error is None and item.known is None]
        sequences = [item.encoded.sequence for item in waiting if item.encoded]
        plan = await self._encode_pool.plan(self._model, sequences, request.priority)
        # From here on the reservation is exact: cached items and shared prefixes cost nothing.
        planned = sum(tokens for _, tokens in plan)
        reservation.resize(len(plan), planned)
        # What is computed costs its new tokens, and encoding it nothing beside.
        encoding = sum(
            encoding_cost(item.encoded) - item.encoded.dropped_tokens
            for item in waiting
            if item.encoded
        )
        spend(planned - encoding)
        deadline = math.inf if request.timeout is None else started + request.timeout
        now, loop = self._clock(), asyncio.get_running_loop()
        jobs = []
        for index, tokens in plan:
            answer: asyncio.Future[JobResult] = loop.create_future()
            # Released job by job, so that a large request makes room while it still runs.
            answer.add_done_callback(partial(reservation.release, tokens))
            job = Job(sequences[index], request.priority, answer, now, deadline, tokens)
            waiting[index].job = job
            jobs.append(job)
        self._batcher.submit(jobs)
        return jobs

    def _timings(
        self, started: float, admitted: float, submitted: float, jobs: list[Job]
    ) -> Timings:
        # Without jobs (every score was known, or nothing could be encoded) no time is spent there.
        first = min((job.started_at for job in jobs), default=submitted)
        last = max((job.finished_at for job in jobs), default=submitted)
        return Timings(
            started=started,
            admit=admitted - started,
            encode=submitted - admitted,
            queue=first - submitted,
            infer=last - first,
            total=self._clock() - started,
        )

    def _remember(self, item: _Item) -> None:
        """Cache what was computed, but for scores of steps, which are rarely asked for again."""
        if item.job and item.encoded and len(item.encoded.sequence.read_at) == 1:
            result = item.job.answer.result()
            if not isinstance(result, ItemError):
                self._cache.put(item.encoded.sequence, result)

    def _joined(
        self, request: ScoringRequest, weights: Mapping[str, float], groups: list[list[_Item]]
    ) -> tuple[tuple[ItemScore, ...], ...]:
        """Return a score for each item of the request, out of those of its criteria or labels.

        Args:
            groups: the items of `Criteria.spread`, each with what leads to its scores.
        """
        criteria, release = self._model.criteria, self._model.release
        # The scores of a head of several labels, of which each that counts makes a group.
        columns = [criteria.labels.index(name) for name in weights if criteria.labels] or [0]
        scored = (
            tuple(self._score_of(item, column) for item in group)
            for group in groups
            for column in columns
        )
        inputs = criteria.join(request, weights, scored)
        if criteria.labels and release.calibration and weights == default_weights(release):
            return calibrated(inputs, release.calibration)
        return inputs

    def _score_of(self, item: _Item, label: int) -> ItemScore:
        """Return the score of an item by one label of the model, which usually has one."""
        if item.error:
            return item.error
        assert item.encoded is not None, "what has no error was encoded"
        result = item.known
        if result is None:
            assert item.job is not None, "what was not known was submitted"
            answer = item.job.answer.result()
            if isinstance(answer, ItemError):
                tokens, dropped = len(item.encoded.sequence.ids), item.encoded.dropped_tokens
                return ItemScore(tokens, error=answer, dropped_tokens=dropped)
            result = answer
        labels = self._model.engine.facts.labels
        return self._calibrated(item.encoded, result[label::labels], cached=item.known is not None)

    def _calibrated(
        self, encoded: Encoded, scores: tuple[float, ...], *, cached: bool = False
    ) -> ItemScore:
        calibration, tokens = self._model.release.calibration, len(encoded.sequence.ids)
        *steps, raw = scores
        # A calibration is of one score, and knows nothing of single labels.
        one_score = not self._model.criteria.labels
        normalized = calibration.apply(raw) if calibration and one_score else None
        if normalized is not None and not math.isfinite(normalized):
            # A score without its normalized one would look like that of a bare checkpoint.
            error = ItemError("non_finite", _NOT_NORMALIZED)
            return ItemScore(tokens, error=error, dropped_tokens=encoded.dropped_tokens)
        return ItemScore(
            tokens,
            raw,
            normalized,
            cached=cached,
            steps=tuple(steps),
            dropped_tokens=encoded.dropped_tokens,
        )

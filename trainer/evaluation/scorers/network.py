"""A scorer in this process, on the very network and encoder that serve."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reward_model import packing
from reward_model.network import RewardNetwork
from reward_model.release.release import open_release
from reward_model.text.chat import Unencodable
from reward_model.text.encoding import Encoder, TooLong
from trainer.evaluation.question import Answer, Question, Reading, step_ends, text_of, unaskable
from trainer.pairs.row import Request, conversation

_MOST_TOKENS = 16_384
"""Of one forward, shared ones counted each time, so that memory stays within a small machine's."""

Encoded = packing.Sequence | Reading
"""What is to be computed, or the error there is already."""


class NetworkScorer:
    """Scores with a checkpoint or release directory.

    Raises:
        ReleaseError: the directory is not fit to be loaded.
    """

    def __init__(self, checkpoint: Path, *, device: str = "cpu", dtype: str = "float32") -> None:
        release = open_release(checkpoint)
        self.name = release.name
        self._network = RewardNetwork.load(release, device=device, dtype=dtype)
        self._encoder = Encoder(
            self._network.tokenizer, max_tokens=self._network.max_tokens, pad_id=release.pad_id
        )

    def score(self, questions: Sequence[Question]) -> Iterator[list[Reading]]:
        """Questions are gathered until their tokens fill a forward: neighbours share prompts."""
        pending: list[list[Encoded]] = []
        tokens = 0
        for question in questions:
            pending.append(self._encode_all(question))
            tokens += sum(map(_tokens, pending[-1]))
            if tokens >= _MOST_TOKENS:
                yield from self._read(pending)
                pending, tokens = [], 0
        yield from self._read(pending)

    def _encode_all(self, question: Question) -> list[Encoded]:
        if reason := unaskable(question.prompt):
            return [Reading(error=reason) for _ in question.answers]
        return [self._encode(question.prompt, answer) for answer in question.answers]

    def _encode(self, prompt: Request, answer: Answer) -> Encoded:
        text = text_of(answer)
        if not text:
            return Reading(error="empty")
        try:
            return self._encoder.encode(conversation(prompt, text), step_ends(answer))
        except TooLong:
            return Reading(error="too_long")
        except Unencodable:
            return Reading(error="unencodable")

    def _read(self, pending: list[list[Encoded]]) -> Iterator[list[Reading]]:
        sequences = [e for row in pending for e in row if isinstance(e, packing.Sequence)]
        scores = (s for batch in _batches(sequences) for s in self._network.score(batch))
        for row in pending:
            yield [e if isinstance(e, Reading) else _reading(next(scores)) for e in row]


def _reading(scores: list[float]) -> Reading:
    if not all(map(math.isfinite, scores)):
        return Reading(error="non_finite")
    return Reading(tuple(scores))


def _tokens(encoded: Encoded) -> int:
    return len(encoded.ids) if isinstance(encoded, packing.Sequence) else 0


def _batches(sequences: Iterable[packing.Sequence]) -> Iterator[list[packing.Sequence]]:
    """One question may have more answers than fit into one forward."""
    batch: list[packing.Sequence] = []
    tokens = 0
    for sequence in sequences:
        if batch and tokens + len(sequence.ids) > _MOST_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(sequence)
        tokens += len(sequence.ids)
    if batch:
        yield batch

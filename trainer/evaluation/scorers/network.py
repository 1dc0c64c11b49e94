"""A scorer in this process, on the network and the encoder that also serve."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reward_model import packing
from reward_model.network import RewardNetwork
from reward_model.release.encoder import make_encoder
from reward_model.release.lora import open_checkpoint
from reward_model.text.chat import Unencodable
from reward_model.text.criteria import with_criterion
from reward_model.text.encoding import TooLong
from trainer.evaluation.question import (
    Question,
    Reading,
    conversation_of,
    step_ends,
    text_of,
    unaskable,
)
from trainer.pairs.criteria import read_criteria

# Tokens of one forward, shared ones counted each time; it fits a small machine's memory.
MAX_TOKENS = 16_384

Encoded = packing.Sequence | Reading
"""A sequence to be scored, or the error that it cannot be."""


class NetworkScorer:
    """Scores with a checkpoint or release directory.

    Raises:
        ReleaseError: the directory cannot be loaded.
    """

    def __init__(self, checkpoint: Path, *, device: str = "cpu", dtype: str = "float32") -> None:
        release = open_checkpoint(checkpoint)
        self.name = release.name
        self._network = RewardNetwork.load(release, device=device, dtype=dtype)
        self.criteria = read_criteria(checkpoint)
        self._encoder, _ = make_encoder(release, self._network.tokenizer, self._network.max_tokens)

    def score(self, questions: Sequence[Question]) -> Iterator[list[Reading]]:
        """Gather questions until their tokens fill a forward: neighbors share prompts."""
        pending: list[list[Encoded]] = []
        tokens = 0
        for question in questions:
            if reason := unaskable(question.prompt):
                pending.append([Reading(error=reason) for _ in question.answers])
            else:
                pending.append([self._encode(question, n) for n in range(len(question.answers))])
            tokens += sum(len(s.ids) for s in pending[-1] if isinstance(s, packing.Sequence))
            if tokens >= MAX_TOKENS:
                yield from self._compute(pending)
                pending, tokens = [], 0
        yield from self._compute(pending)

    def _encode(self, question: Question, index: int) -> Encoded:
        # These codes are those that the service gives to such candidates.
        answer = question.answers[index]
        if not text_of(answer):
            return Reading(error="empty")
        talk = conversation_of(question, index)
        # What the checkpoint has no criterion for, it judges as any other request.
        if criterion := self.criteria.get(question.aspect):
            talk = with_criterion(talk, criterion.prompt)
        try:
            return self._encoder.encode(talk, step_ends(answer), question.inputs)
        except TooLong:
            return Reading(error="too_long")
        except Unencodable:
            return Reading(error="unencodable")

    def _compute(self, pending: list[list[Encoded]]) -> Iterator[list[Reading]]:
        sequences = [each for row in pending for each in row if isinstance(each, packing.Sequence)]
        # Lazy, so that a batch is computed when its first score is asked for.
        scores = (one for batch in batches(sequences) for one in self._network.score(batch))
        for row in pending:
            readings = []
            for each in row:
                if isinstance(each, packing.Sequence):
                    found = tuple(next(scores))
                    finite = all(map(math.isfinite, found))
                    readings.append(Reading(found) if finite else Reading(error="non_finite"))
                else:
                    readings.append(each)
            yield readings


def batches(sequences: Iterable[packing.Sequence]) -> Iterator[list[packing.Sequence]]:
    """Cut into forwards: one question may have more answers than fit into one."""
    batch: list[packing.Sequence] = []
    tokens = 0
    for sequence in sequences:
        if batch and tokens + len(sequence.ids) > MAX_TOKENS:
            yield batch
            batch, tokens = [], 0
        batch.append(sequence)
        tokens += len(sequence.ids)
    if batch:
        yield batch

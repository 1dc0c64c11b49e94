"""Anthropic's HH transcripts: two texts of turns that begin with `Human:` and `Assistant:`."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from reward_model.text.chat import Conversation, Message
from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.formats.messages import inputs_of, parted, with_system
from trainer.tables.record import Record, Unusable, text_of

_SPEAKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


@dataclass(frozen=True)
class Hh:
    """Two whole transcripts, alike up to the last answer."""

    kind: Literal["hh"] = "hh"
    chosen: str = "chosen"
    rejected: str = "rejected"

    merges: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[str, ...]:
        return self.chosen, self.rejected

    def rate(self, record: Record) -> RatedAnswers:
        chosen, rejected = _turns(record, self.chosen), _turns(record, self.rejected)
        prompt, better, worse = parted(with_system(record, chosen), with_system(record, rejected))
        answers = (RatedAnswer.of(better, 1.0), RatedAnswer.of(worse, 0.0))
        return RatedAnswers(prompt, answers, group_of(prompt), inputs=inputs_of(record))


def _turns(record: Record, column: str) -> Conversation:
    before, *turns = _SPEAKER.split(text_of(record, column))
    if before.strip() or not turns:
        raise Unusable(f"{column} is no transcript of Human and Assistant")
    speakers, contents = turns[::2], turns[1::2]
    expected = [("Human", "Assistant")[n % 2] for n in range(len(speakers))]
    if speakers != expected:
        raise Unusable("Human and Assistant do not take turns")
    spoken = zip(speakers, contents, strict=True)
    return tuple(Message(_ROLES[speaker], content.strip()) for speaker, content in spoken)

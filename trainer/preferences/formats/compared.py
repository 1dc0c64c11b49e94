"""Comparisons of two answers, with a column that says which one is better (arenas, annotators)."""

import re
from dataclasses import dataclass
from typing import ClassVar, Literal

from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.formats.messages import (
    has_prompt,
    inputs_of,
    parted,
    prompt_of,
    turns_of,
    with_system,
)
from trainer.tables.record import Record, Unusable

# The letter or number at the end of a name: response_a, answer2, model_b.
_END = re.compile(r"(?:^|[\W_]|(?<=[a-z]))([a-z]|\d+)$", re.IGNORECASE)

_TIE = re.compile(r"tie|both|neither|equal|same", re.IGNORECASE)


@dataclass(frozen=True)
class Compared:
    """The better of two answers over the other one; ties are left out and counted.

    Attributes:
        prompt: may be absent where the answers are whole conversations.
        winner: names one of the two columns, or the letter or number at its end: of response_a and
            response_b, `a`, `B` and `model_a` name one; of response_0 and response_1, 0 and 1.
    """

    kind: Literal["compared"] = "compared"
    prompt: str = "prompt"
    first: str = "response_a"
    second: str = "response_b"
    winner: str = "winner"

    merges: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[str, ...]:
        return self.first, self.second, self.winner

    def rate(self, record: Record) -> RatedAnswers:
        better, worse = self._order(record.get(self.winner))
        won = turns_of(record.get(better), better, "assistant")
        lost = turns_of(record.get(worse), worse, "assistant")
        if has_prompt(record, self.prompt):
            before = prompt_of(record, self.prompt)
            won, lost = (*before, *won), (*before, *lost)
        else:
            won, lost = with_system(record, won), with_system(record, lost)
        request, won, lost = parted(won, lost)
        answers = (RatedAnswer.of(won, 1.0), RatedAnswer.of(lost, 0.0))
        return RatedAnswers(request, answers, group_of(request), inputs=inputs_of(record))

    def _order(self, winner: object) -> tuple[str, str]:
        """The columns of the better and of the worse answer."""
        said = str(winner).strip()
        if _TIE.search(said):
            raise Unusable("a tie")
        if said in (self.first, self.second):
            return (said, self.second if said == self.first else self.first)
        named = _END.search(said)
        for better, worse in ((self.first, self.second), (self.second, self.first)):
            own = _END.search(better)
            if named and own and named[1].lower() == own[1].lower():
                return better, worse
        raise Unusable(f"{self.winner} names neither {self.first} nor {self.second}")

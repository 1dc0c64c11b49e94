"""TRL's preference data: prompt, chosen and rejected as text or as messages.

Also what the binarized UltraFeedback has: whole conversations beside the prompt, and two scores.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from reward_model.text.chat import Conversation
from trainer.pairs.group import group_of
from trainer.pairs.row import Request
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.formats.messages import messages_of, parted, request_of, turns_of
from trainer.tables.record import Record, Unusable, number_of


@dataclass(frozen=True)
class Trl:
    """Where its columns are called otherwise.

    Attributes:
        prompt: may be absent: then chosen and rejected are whole conversations, or texts whose
            common beginning is the prompt.
        margin: by how much chosen is better, where a row has it.
        chosen_score, rejected_score: or the two ratings of which the margin is the difference.
    """

    kind: Literal["trl"] = "trl"
    prompt: str = "prompt"
    chosen: str = "chosen"
    rejected: str = "rejected"
    margin: str = "margin"
    chosen_score: str = "score_chosen"
    rejected_score: str = "score_rejected"

    merges: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[str, ...]:
        return self.chosen, self.rejected

    def judge(self, record: Record) -> RatedAnswers:
        prompt, chosen, rejected = self._parted(record)
        margin = self._margin(record)
        answers = (RatedAnswer(chosen, margin or 1.0), RatedAnswer(rejected, 0.0))
        return RatedAnswers(prompt, answers, group_of(prompt), rated=bool(margin))

    def _parted(self, record: Record) -> tuple[Request, str, str]:
        prompt = record.get(self.prompt)
        chosen, rejected = record.get(self.chosen), record.get(self.rejected)
        if isinstance(chosen, str) and isinstance(rejected, str):
            if prompt is None:
                return _parted_texts(chosen, rejected)
            return request_of(turns_of(prompt, self.prompt)), chosen, rejected
        before = () if prompt is None else turns_of(prompt, self.prompt)
        return parted(
            _whole(before, messages_of(chosen, self.chosen)),
            _whole(before, messages_of(rejected, self.rejected)),
        )

    def _margin(self, record: Record) -> float | None:
        """None where nobody rated the two."""
        chosen = number_of(record, self.chosen_score)
        rejected = number_of(record, self.rejected_score)
        margin = number_of(record, self.margin)
        if margin is None and chosen is not None and rejected is not None:
            margin = chosen - rejected
            if margin == 0:
                raise Unusable("chosen and rejected have the same score")
        if margin is not None and margin < 0:
            raise Unusable("the scores contradict the choice")
        return margin


def _parted_texts(chosen: str, rejected: str) -> tuple[Request, str, str]:
    """As TRL parts them: at the first letter that differs, a space before it with the answers."""
    if chosen.lstrip().startswith("Human:"):
        raise Unusable("a transcript of Human and Assistant: read it with the hh format")
    both = zip(chosen, rejected, strict=False)
    shortest = min(len(chosen), len(rejected))
    length = next((n for n, (a, b) in enumerate(both) if a != b), shortest)
    prompt = chosen[:length].removesuffix(" ")
    if not prompt.strip():
        raise Unusable("no prompt, and no common beginning that could be one")
    return prompt, chosen[len(prompt) :], rejected[len(prompt) :]


def _whole(before: Conversation, turns: Conversation) -> Conversation:
    """Messages that begin with the assistant's follow the prompt; others hold it already."""
    if turns[0].role == "assistant":
        return (*before, *turns)
    contents = {turn.content for turn in turns}
    if any(turn.content not in contents for turn in before):
        raise Unusable("the prompt is not part of the conversations")
    return turns

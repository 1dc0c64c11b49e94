"""TRL's preference data: prompt, chosen and rejected as text or as messages.

The binarized UltraFeedback is read as well: whole conversations beside the prompt, and two scores.
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
    """The names of the columns, which by default are TRL's.

    Attributes:
        prompt: may be absent: then chosen and rejected are whole conversations, or texts whose
            common beginning is the prompt.
        margin: by how much chosen is better; a row may have none.
        chosen_score, rejected_score: two ratings, whose difference is the margin of a row without
            one.
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

    def rate(self, record: Record) -> RatedAnswers:
        given = record.get(self.prompt)
        chosen, rejected = record.get(self.chosen), record.get(self.rejected)
        if not (isinstance(chosen, str) and isinstance(rejected, str)):
            before = () if given is None else turns_of(given, self.prompt)
            prompt, chosen, rejected = parted(
                _whole(before, messages_of(chosen, self.chosen)),
                _whole(before, messages_of(rejected, self.rejected)),
            )
        elif given is None:
            prompt, chosen, rejected = parted_texts(chosen, rejected)
        else:
            prompt = request_of(turns_of(given, self.prompt))

        margin = number_of(record, self.margin)
        better = number_of(record, self.chosen_score)
        worse = number_of(record, self.rejected_score)
        if margin is None and better is not None and worse is not None:
            margin = better - worse
            if margin == 0:
                raise Unusable("chosen and rejected have the same score")
        if margin is not None and margin < 0:
            raise Unusable("the scores contradict the choice")
        # Without a margin the ratings only say which answer is better.
        answers = (RatedAnswer(chosen, margin or 1.0), RatedAnswer(rejected, 0.0))
        return RatedAnswers(prompt, answers, group_of(prompt), rated=bool(margin))


def parted_texts(chosen: str, rejected: str) -> tuple[Request, str, str]:
    """Prompt and answers of two texts with a common beginning.

    They part as in TRL: at the first letter that differs, and a space before it belongs to the
    answers.
    """
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
    # Messages that begin with the assistant's follow the prompt; others hold it already.
    if turns[0].role == "assistant":
        return (*before, *turns)
    contents = {turn.content for turn in turns}
    if any(turn.content not in contents for turn in before):
        raise Unusable("the prompt is not part of the conversations")
    return turns

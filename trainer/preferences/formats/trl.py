"""TRL's preference data: prompt, chosen and rejected as text or as messages.

The binarized UltraFeedback is read as well: whole conversations beside the prompt, and two scores.
"""

import re
from dataclasses import dataclass
from itertools import takewhile
from typing import ClassVar, Literal

from reward_model.text.chat import Conversation
from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.formats.messages import (
    follows_prompt,
    has_prompt,
    inputs_of,
    parted,
    prompt_of,
    turns_of,
    with_system,
)
from trainer.preferences.formats.plain import plain
from trainer.tables.record import Record, Unusable, number_of

# A line that ends a question and asks for its answer.
_CUE = re.compile(
    r"^(?:### )?(?:A|[Aa]nswer|ANSWER|[Aa]ssistant|ASSISTANT|[Rr]esponse|[Ss]olution):[ \n]*",
    re.MULTILINE,
)

# Columns in which data sets keep the prompt when they do not call it so.
_PROMPTS = ("instruction", "question", "query", "input", "problem", "conversations", "messages")


@dataclass(frozen=True)
class Trl:
    """The names of the columns, which by default are TRL's.

    Attributes:
        prompt: may be absent: then chosen and rejected are whole conversations, or texts whose
            common beginning has a line such as `Answer:`, which ends the prompt.
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
        chosen, rejected = record.get(self.chosen), record.get(self.rejected)
        if (
            isinstance(chosen, str)
            and isinstance(rejected, str)
            and not has_prompt(record, self.prompt)
        ):
            prompt, chosen, rejected = self._parted_texts(record, chosen, rejected)
            record = record | {self.prompt: prompt}
        better = turns_of(chosen, self.chosen, "assistant")
        worse = turns_of(rejected, self.rejected, "assistant")
        before: Conversation = ()
        if has_prompt(record, self.prompt) and (
            record.get(self.prompt) is not None or follows_prompt(better)
        ):
            before = prompt_of(record, self.prompt)
        request, better, worse = parted(
            with_system(record, _whole(before, better)), with_system(record, _whole(before, worse))
        )
        margin = number_of(record, self.margin)
        higher = number_of(record, self.chosen_score)
        lower = number_of(record, self.rejected_score)
        if margin is None and higher is not None and lower is not None:
            margin = higher - lower
            if margin == 0:
                raise Unusable("chosen and rejected have the same score")
        if margin is not None and margin < 0:
            raise Unusable("the scores contradict the choice")
        # Without a margin the ratings only say which answer is better.
        answers = (RatedAnswer.of(better, margin or 1.0), RatedAnswer.of(worse, 0.0))
        return RatedAnswers(request, answers, group_of(request), bool(margin), inputs_of(record))

    def _parted_texts(self, record: Record, chosen: str, rejected: str) -> tuple[str, str, str]:
        """Prompt and answers of two texts with a common beginning.

        A common beginning alone is no prompt: that of two programs ends in the middle of a line.
        """
        for text, column in ((chosen, self.chosen), (rejected, self.rejected)):
            plain(text, column)
        if chosen.lstrip().startswith("Human:"):
            raise Unusable("a transcript of Human and Assistant: read it with the hh format")
        if other := next((name for name in _PROMPTS if record.get(name)), None):
            raise Unusable(f"no column {self.prompt}: name {other} as the format's `prompt`")
        both = zip(chosen, rejected, strict=False)
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))
        if not chosen[:common].strip():
            raise Unusable(f"no column {self.prompt}, and no common beginning that could be one")
        cues = list(_CUE.finditer(chosen, 0, common))
        if len(cues) != 1 or not chosen[: cues[0].start()].strip():
            raise Unusable(
                f"no column {self.prompt}, and no line such as `Answer:` ends a prompt that chosen "
                "and rejected have in common: give the prompt a column, and name it"
            )
        end = cues[0].end()
        return chosen[:end].rstrip(), chosen[end:], rejected[end:]


def _whole(before: Conversation, turns: Conversation) -> Conversation:
    # Messages that begin with the assistant's follow the prompt; others hold it already.
    if follows_prompt(turns):
        return (*before, *turns)
    contents = {turn.content for turn in turns}
    if any(turn.content not in contents for turn in before):
        raise Unusable("the prompt is not part of the conversations")
    return turns

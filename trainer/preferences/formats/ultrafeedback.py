"""UltraFeedback and its kin: several completions of one instruction, each with a rating."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.formats.messages import request_of, turns_of
from trainer.tables.record import Record, Unusable, list_of, number_of, record_of, text_of


@dataclass(frozen=True)
class UltraFeedback:
    """Best over each worse one, with the difference of their ratings as margin.

    Attributes:
        prompt: text, or messages.
        completions: objects with the fields `text`, `rating` and perhaps `model`; or plain texts,
            when `ratings` names a column with as many numbers.
        rating: the mean of all aspects in UltraFeedback's own files; `overall_score` is there, too.
    """

    kind: Literal["ultrafeedback"] = "ultrafeedback"
    prompt: str = "instruction"
    completions: str = "completions"
    text: str = "response"
    rating: str = "fine-grained_score"
    model: str = "model"
    ratings: str = ""

    merges: ClassVar[bool] = False

    @property
    def columns(self) -> tuple[str, ...]:
        return self.prompt, self.completions, *filter(None, [self.ratings])

    def judge(self, record: Record) -> RatedAnswers:
        request = request_of(turns_of(record.get(self.prompt), self.prompt))
        answers = tuple(self._answer(completion) for completion in self._completions(record))
        return RatedAnswers(request, answers, group_of(request), rated=True)

    def _completions(self, record: Record) -> list[Record]:
        completions = list_of(record, self.completions)
        if not self.ratings:
            return [record_of(each, "a completion") for each in completions]
        ratings = list_of(record, self.ratings)
        if len(ratings) != len(completions):
            raise Unusable("not as many ratings as completions")
        both = zip(completions, ratings, strict=True)
        return [{self.text: text, self.rating: rating} for text, rating in both]

    def _answer(self, completion: Record) -> RatedAnswer:
        """One without a rating makes the row useless: it might have been the best."""
        rating = number_of(completion, self.rating)
        if rating is None:
            raise Unusable("a completion has no rating")
        model = completion.get(self.model)
        return RatedAnswer(
            text_of(completion, self.text), rating, "lower rated", str(model) if model else ""
        )

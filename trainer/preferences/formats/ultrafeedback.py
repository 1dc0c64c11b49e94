"""UltraFeedback and its kin: several completions of one instruction, each with a rating."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from trainer.pairs.group import group_of
from trainer.preferences.formats.format import RatedAnswer, RatedAnswers
from trainer.preferences.formats.messages import inputs_of, prompt_of, request_of, turns_of
from trainer.tables.record import Record, Unusable, list_of, number_of, record_of


@dataclass(frozen=True)
class UltraFeedback:
    """The best completion over each worse one, with the difference of their ratings as margin.

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

    def rate(self, record: Record) -> RatedAnswers:
        request = request_of(prompt_of(record, self.prompt))
        completions = list_of(record, self.completions)
        if self.ratings:
            ratings = list_of(record, self.ratings)
            if len(ratings) != len(completions):
                raise Unusable("not as many ratings as completions")
            completions = [
                {self.text: text, self.rating: rating}
                for text, rating in zip(completions, ratings, strict=True)
            ]
        answers = []
        for each in completions:
            completion = record_of(each, "a completion")
            rating = number_of(completion, self.rating)
            # It might have been the best one, so the whole row cannot be used.
            if rating is None:
                raise Unusable("a completion has no rating")
            model = str(completion.get(self.model) or "")
            turns = turns_of(completion.get(self.text), self.text, "assistant")
            answers.append(RatedAnswer.of(turns, rating, "lower rated", model))
        group = group_of(request)
        return RatedAnswers(request, tuple(answers), group, rated=True, inputs=inputs_of(record))

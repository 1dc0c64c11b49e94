"""Questions from labelled candidate sets and from multiple choice, by their files."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from trainer.evaluation.question import Question
from trainer.evaluation.records import read_records, source_name
from trainer.pairs.group import group_of
from trainer.pipeline.stage import StageError

LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class _Candidate:
    text: str
    correct: bool
    model: str = ""


@dataclass(frozen=True)
class _CandidateSet:
    id: str
    prompt: str
    candidates: list[_Candidate]


class _Choice(BaseModel):
    """ReClor, LogiQA 2.0 and logic sets in its way: a passage, a question, options and a key."""

    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)

    id: str = Field(validation_alias=AliasChoices("id", "id_string"))
    context: str = Field(validation_alias=AliasChoices("context", "text", "passage"))
    question: str
    options: list[str] = Field(validation_alias=AliasChoices("options", "answers", "choices"))
    key: str = Field(validation_alias=AliasChoices("answer", "label"))


def read_candidates(file: Path) -> list[Question]:
    """Rows `{id, prompt, candidates: [{text, correct, model}]}`; a problem is a group."""
    return [
        Question(
            id=row.id,
            group=group_of(row.prompt),
            prompt=row.prompt,
            answers=tuple(candidate.text for candidate in row.candidates),
            correct=tuple(candidate.correct for candidate in row.candidates),
            kinds=tuple(candidate.model for candidate in row.candidates),
            source=source_name(file),
        )
        for row in read_records(file, _CandidateSet)
    ]


def read_choices(file: Path) -> list[Question]:
    """Passage and question are the request, options its answers; a passage is a group."""
    return [_choice(row, file) for row in read_records(file, _Choice)]


def _choice(row: _Choice, file: Path) -> Question:
    key = _key(row, file)
    return Question(
        id=row.id,
        group=group_of(row.context),
        prompt=f"{row.context}\n\n{row.question}",
        answers=tuple(_bare(option, place) for place, option in enumerate(row.options)),
        correct=tuple(place == key for place in range(len(row.options))),
        source=f"{file.parent.name}/{source_name(file)}",
    )


def _key(row: _Choice, file: Path) -> int:
    """The place of the right option, which files give as a number or as a letter."""
    place = int(row.key) if row.key.isdigit() else LETTERS.find(row.key)
    if not 0 <= place < len(row.options):
        raise StageError(f"{file}, {row.id}: the key {row.key!r} is none of its options")
    return place


def _bare(option: str, place: int) -> str:
    """Without the letter in front, which would only say where the option stands."""
    return option.removeprefix(f"{LETTERS[place]}) ")

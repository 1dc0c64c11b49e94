"""Finds prompt and candidates in a row, and names the columns that its scores get."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.row_values import (
    BODY,
    Unscorable,
    answer_of,
    body_of,
    is_turns,
    prompt_of,
    required,
    tools_of,
)
from codepmp_client.bulk.tables import ColumnType, Record
from codepmp_client.inputs import Candidate, Message, Prompt
from codepmp_client.results import ItemError, Score

# The first two are the usual names. One of the others counts only where neither is there.
PROMPTS = ("prompt", "messages")
OTHER_PROMPTS = ("conversation", "question", "instruction", "problem", "query")
LISTS = ("candidates", "completions", "responses", "generations")
SINGLES = ("candidate", "response", "completion")
INVALID = "invalid_row"
"""The code of the error of a row, or a candidate, that could not be sent to a server."""


@dataclass(frozen=True, slots=True)
class RowInput:
    """The prompt and candidates of one row. A row without candidates gets no scores.

    Attributes:
        candidates: an `Unscorable` among them gets its reason as its error.
    """

    prompt: Prompt
    candidates: tuple[Candidate | Unscorable, ...]
    tools: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class RowScores:
    """The scores of one row's candidates, in order, and the model that gave them.

    `model` and `version` are None if no server was asked.
    """

    scores: tuple[Score, ...]
    model: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a table's rows hold what is scored.

    Attributes:
        prompt: the column of the prompt, a text or a conversation.
        candidates: the column of the candidates; None if a conversation ends with the only one.
        listed: whether a row has a list of candidates, and gets lists of scores.
        field: the member of a candidate that holds its text, where candidates are objects; None
            takes the first that `TEXTS` names.
        in_body: whether all of it is in `body`, as in OpenAI's batch format.
    """

    prompt: str
    candidates: str | None
    listed: bool
    field: str | None = None
    in_body: bool = False

    def read(self, record: Record) -> RowInput:
        """Take prompt and candidates out of a row.

        Raises:
            Unscorable: they are not there, or not of a type that can be scored.
        """
        if self.in_body:
            record = body_of(record)
        prompt = prompt_of(required(record, self.prompt), self.prompt)
        tools = tools_of(record.get("tools"))
        if self.candidates is None:
            if isinstance(prompt, str) or len(prompt) < 2:
                raise Unscorable(f"{self.prompt} is no conversation that ends on an answer")
            *turns, last = prompt
            if last["role"] != "assistant":
                raise Unscorable(f"{self.prompt} does not end on the assistant's answer")
            return RowInput(turns, (answer_of(last, None),), tools)
        if not isinstance(prompt, str) and prompt[-1]["role"] == "assistant":
            raise Unscorable(f"{self.prompt} ends on the assistant, and so do the candidates")
        value = required(record, self.candidates)
        if not self.listed:
            return RowInput(prompt, (answer_of(value, self.field),), tools)
        if not isinstance(value, list):
            raise Unscorable(f"{self.candidates} is not a list")
        candidates: list[Candidate | Unscorable] = []
        for each in value:
            try:
                candidates.append(answer_of(each, self.field))
            except Unscorable as error:
                candidates.append(error)
        return RowInput(prompt, tuple(candidates), tools)

    def describe(self) -> str:
        """Say for people where things are taken from."""
        where = f" in {BODY}" if self.in_body else ""
        if self.candidates is None:
            return f"conversation: {self.prompt}{where}, of which the last turn is scored"
        kind = "list of candidates" if self.listed else "candidate"
        return f"prompt: {self.prompt}, {kind}: {self.candidates}{where}"


@dataclass(frozen=True, slots=True)
class NewColumns:
    """The names of the columns that rows get."""

    score: str
    normalized: str
    error: str
    model: str
    version: str

    @classmethod
    def choose(cls, listed: bool, taken: Iterable[str]) -> "NewColumns":
        """Name them. A column `model` or `version` of the rows' own is not replaced."""
        names = ("scores", "normalized", "errors") if listed else ("score", "normalized", "error")
        own = not {"model", "version"}.isdisjoint(taken)
        return cls(*names, *(("reward_model", "reward_version") if own else ("model", "version")))

    @property
    def all(self) -> tuple[str, ...]:
        return (self.score, self.normalized, self.error, self.model, self.version)

    def types(self, listed: bool) -> dict[str, ColumnType]:
        """Their types in Parquet."""
        number: ColumnType = "numbers" if listed else "number"
        error: ColumnType = "texts" if listed else "text"
        kinds: tuple[ColumnType, ...] = (number, number, error, "text", "text")
        return dict(zip(self.all, kinds, strict=True))

    def record(self, row: RowScores | Unscorable, listed: bool) -> Record:
        """Make the new columns of one row."""
        if isinstance(row, Unscorable):
            error = f"{INVALID}: {row}"
            values: tuple[object, ...] = (None, None, [error] if listed else error, None, None)
            return dict(zip(self.all, values, strict=True))
        raws: list[float | None] = [score.raw for score in row.scores]
        normals: list[float | None] = [score.normalized for score in row.scores]
        errors = [error_text(score.error) for score in row.scores]
        values = (raws, normals, errors) if listed else (raws[0], normals[0], errors[0])
        return dict(zip(self.all, (*values, row.model, row.version), strict=True))


def error_text(error: ItemError | None) -> str | None:
    """An error as one text, which begins with its code."""
    return None if error is None else f"{error.code}: {error.message}"


def detect(
    record: Record,
    *,
    prompt: str | None = None,
    candidates: str | None = None,
    field: str | None = None,
) -> Columns:
    """Find the columns of a table by its first row; arguments are columns that the user named.

    Raises:
        UsageError: a column that was named is not there, or it is not clear which ones are meant.
    """
    in_body = "custom_id" in record and prompt is None
    if in_body:
        if "response" in record and BODY not in record:
            raise UsageError(
                "these lines are the answers of a batch, which hold no prompts: score a file that "
                "has both"
            )
        try:
            record = body_of(record)
        except Unscorable as error:
            raise UsageError(f"a line with custom_id cannot be scored: {error}") from error
    prompt = prompt or _find(record, "prompt", (PROMPTS, OTHER_PROMPTS), "--prompt-column")
    if prompt == "instruction" and record.get("input"):
        raise UsageError(
            "the prompt is in two columns, instruction and input: join them in one first"
        )
    if candidates is None:
        lists = (*LISTS, "documents") if in_body else LISTS
        if _ends_on_answer(record.get(prompt)) and not _has(record, (*lists, *SINGLES)):
            return Columns(prompt, None, listed=False, in_body=in_body)
        candidates = _find(record, "candidates", (lists, SINGLES), "--candidates-column")
    for name in (prompt, candidates):
        if name not in record:
            raise UsageError(f"there is no column {name}; there are {_names(record)}")
    value = record[candidates]
    # The answer of TRL's conversational rows is a list, too: of messages.
    listed = isinstance(value, list) and (candidates not in SINGLES or not is_turns(value))
    return Columns(prompt, candidates, listed, field, in_body)


def _find(record: Record, what: str, ranks: Sequence[Sequence[str]], option: str) -> str:
    for names in ranks:
        found = [name for name in names if record.get(name) is not None]
        if len(found) > 1:
            raise UsageError(
                f"it is not clear which column is the {what}, {' or '.join(found)}: "
                f"name it with {option}"
            )
        if found:
            return found[0]
    raise UsageError(
        f"no column is known as the {what}: name it with {option}; there are {_names(record)}"
    )


def _names(record: Record) -> str:
    return ", ".join(record) or "no columns"


def _has(record: Record, names: Sequence[str]) -> bool:
    return any(record.get(name) is not None for name in names)


def _ends_on_answer(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 1
        and isinstance(value[-1], dict)
        and value[-1].get("role") == "assistant"
    )

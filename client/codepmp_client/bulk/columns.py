"""Finds prompt and candidates in a row, and names the columns that its scores get."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.tables import ColumnType, Record
from codepmp_client.inputs import Candidate, Message, Prompt
from codepmp_client.results import ItemError, Score

# The first two are the usual names. One of the others counts only where neither is there.
PROMPTS = ("prompt", "messages")
OTHER_PROMPTS = ("conversation", "question", "instruction", "problem", "query")
LISTS = ("candidates", "completions", "responses", "generations")
SINGLES = ("candidate", "response", "completion")
# Members of a candidate that is an object and not a turn, in the order in which they are looked up.
TEXTS = ("text", "content", "completion", "response", "candidate", "code", "solution", "answer")

BODY = "body"
"""Where a line of OpenAI's batch format holds what other rows have as columns."""

WANTED = frozenset(
    {*PROMPTS, *OTHER_PROMPTS, *LISTS, *SINGLES, "input", "documents", "tools", "custom_id", BODY}
)
"""Columns that are looked at where no option names others."""

# The members of an assistant's turn that the server takes. Others, such as `annotations` of
# OpenAI's answers, are for no chat template.
_TURN = ("content", "name", "tool_calls", "reasoning_content", "reasoning")
_MESSAGE = ("role", "tool_call_id", *_TURN)


INVALID = "invalid_row"
"""The code of the error of a row, or a candidate, that could not be sent to a server."""


class Unscorable(ValueError):
    """A row that cannot be scored; the message quotes no text of it."""


@dataclass(frozen=True, slots=True)
class RowInput:
    """What one row asks for. It may have no candidates, and then it gets no scores.

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
            record = _body_of(record)
        prompt = _prompt_of(_required(record, self.prompt), self.prompt)
        tools = _tools_of(record.get("tools"))
        if self.candidates is None:
            if isinstance(prompt, str) or len(prompt) < 2:
                raise Unscorable(f"{self.prompt} is no conversation that ends on an answer")
            *turns, last = prompt
            if last["role"] != "assistant":
                raise Unscorable(f"{self.prompt} does not end on the assistant's answer")
            return RowInput(turns, (_answer_of(last, None),), tools)
        if not isinstance(prompt, str) and prompt[-1]["role"] == "assistant":
            raise Unscorable(f"{self.prompt} ends on the assistant, and so do the candidates")
        value = _required(record, self.candidates)
        if not self.listed:
            return RowInput(prompt, (_answer_of(value, self.field),), tools)
        if not isinstance(value, list):
            raise Unscorable(f"{self.candidates} is not a list")
        candidates: list[Candidate | Unscorable] = []
        for each in value:
            try:
                candidates.append(_answer_of(each, self.field))
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
            record = _body_of(record)
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
    listed = isinstance(value, list) and (candidates not in SINGLES or not _is_turns(value))
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


def _body_of(record: Record) -> Record:
    """What a line of OpenAI's batch format asks for."""
    body = record.get(BODY)
    if not isinstance(body, dict):
        raise Unscorable(f"{BODY} is not an object")
    # A body of this server's own route has a list of inputs.
    match body.get("inputs"):
        case None:
            return body
        case [dict() as only]:
            return only
        case _:
            raise Unscorable(f"{BODY}.inputs does not hold exactly one input")


def _required(record: Record, name: str) -> object:
    value = record.get(name)
    if value is None:
        raise Unscorable(f"{name} is missing")
    return value


def _is_turns(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(e, dict) and "role" in e for e in value)


def _ends_on_answer(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 1
        and isinstance(value[-1], dict)
        and value[-1].get("role") == "assistant"
    )


def _prompt_of(value: object, name: str) -> Prompt:
    if isinstance(value, str):
        require_unicode(value, name)
        return value
    if not isinstance(value, list) or not value:
        raise Unscorable(f"{name} is neither a text nor a conversation")
    turns = []
    for turn in value:
        if not isinstance(turn, dict) or not isinstance(turn.get("role"), str):
            raise Unscorable(f"{name} holds a turn without a role")
        # Parquet gives every turn the members of all of them, and null to those that had none.
        turns.append({key: turn[key] for key in _MESSAGE if turn.get(key) is not None})
    require_unicode(turns, name)
    return turns


def _tools_of(value: object) -> tuple[Message, ...]:
    if not value:
        return ()
    if isinstance(value, str):
        # Tables without a column type for objects of any shape hold them as JSON.
        try:
            value = json.loads(value)
        except ValueError:
            raise Unscorable("tools is not JSON") from None
    if not isinstance(value, list) or not all(isinstance(tool, dict) for tool in value):
        raise Unscorable("tools is not a list of objects")
    return tuple(value)


def _answer_of(value: object, field: str | None) -> Candidate:
    """The text of a candidate, or its turn where it is more than text."""
    # Half a surrogate pair is one candidate's error, which the server is not needed for.
    if isinstance(value, str):
        return value
    if _is_turns(value):
        assert isinstance(value, list)
        if len(value) != 1:
            raise Unscorable("a candidate holds several turns, and only the last one can be scored")
        (value,) = value
    if not isinstance(value, dict):
        raise Unscorable("a candidate is neither a text nor an object")
    if field is not None:
        text = value.get(field)
        if not isinstance(text, str):
            raise Unscorable(f"a candidate has no text in {field}")
        return text
    turn = {key: value[key] for key in _TURN if value.get(key) is not None}
    if value.get("role") == "assistant" and turn.keys() != {"content"}:
        return turn
    for name in TEXTS:
        if isinstance(text := value.get(name), str):
            return text
    raise Unscorable(f"a candidate has no text in any of {', '.join(TEXTS)}")


def require_unicode(value: object, name: str) -> None:
    """Refuse texts with half a surrogate pair, which no server could be sent."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Unscorable(f"{name} holds half a surrogate pair, which is not Unicode") from None

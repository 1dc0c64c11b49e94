"""What is asked for: a conversation with its candidates, and how they are to be scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Message = Mapping[str, str]
"""`{"role": "user", "content": "..."}`."""

Prompt = str | Sequence[Message]
"""A user's message, or a conversation that does not end on the assistant."""

Candidate = str | Sequence[str]
"""A text; or a text's steps, where `Options.steps` asks for their scores."""


@dataclass(frozen=True, slots=True)
class Input:
    """One prompt and the answers to it that compete.

    Raises:
        ValueError: there are no candidates.
        TypeError: they are one string, which is a sequence of letters.
    """

    prompt: Prompt
    candidates: Sequence[Candidate]

    def __post_init__(self) -> None:
        if isinstance(self.candidates, str):
            raise TypeError("candidates is one string: give a list of them")
        if not self.candidates:
            raise ValueError("there are no candidates: give at least one")

    def fields(self) -> dict[str, object]:
        """As the server reads it."""
        candidates = [c if isinstance(c, str) else list(c) for c in self.candidates]
        if isinstance(self.prompt, str):
            return {"prompt": self.prompt, "candidates": candidates}
        return {"messages": list(map(dict, self.prompt)), "candidates": candidates}


@dataclass(frozen=True, slots=True)
class Options:
    """Fields of the request; the server's `/docs` describes them.

    Attributes:
        model: what must be served there; any, if None.
        priority: `bulk` work runs when no interactive work waits.
        over_length: whether a conversation that is too long is an error or loses the middle of
            its prompt.
        steps: ends a step of a candidate; with it, steps are scored, too.
    """

    model: str | None = None
    priority: Literal["interactive", "bulk"] = "interactive"
    over_length: Literal["error", "truncate_prompt"] = "error"
    steps: str | None = None

    def fields(self) -> dict[str, object]:
        """As the server reads them."""
        fields: dict[str, object] = {"priority": self.priority, "over_length": self.over_length}
        if self.model is not None:
            fields["model"] = self.model
        if self.steps is not None:
            fields["steps"] = {"delimiter": self.steps}
        return fields


INTERACTIVE = Options()
BULK = Options(priority="bulk")

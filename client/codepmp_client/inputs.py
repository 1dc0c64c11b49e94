"""Inputs of a call: conversations with their candidates, and options of scoring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Message = Mapping[str, str]
"""`{"role": "user", "content": "..."}`."""

Prompt = str | Sequence[Message]
"""A user's message, or a conversation that does not end on the assistant."""

Candidate = str | Sequence[str]
"""A text; or its steps, if `Options.steps` asks for their scores."""


@dataclass(frozen=True, slots=True)
class Input:
    """One prompt and the candidate answers to it.

    Raises:
        ValueError: there are no candidates.
        TypeError: the candidates are one string, which is a sequence of characters, too.
    """

    prompt: Prompt
    candidates: Sequence[Candidate]

    def __post_init__(self) -> None:
        # A string passes for a sequence of strings, and each character would be scored.
        if isinstance(self.candidates, str):
            raise TypeError("candidates is one string: give a list of them")
        if not self.candidates:
            raise ValueError("there are no candidates: give at least one")

    def fields(self) -> dict[str, object]:
        """Return the input in the server's JSON."""
        candidates = [c if isinstance(c, str) else list(c) for c in self.candidates]
        if isinstance(self.prompt, str):
            return {"prompt": self.prompt, "candidates": candidates}
        return {"messages": list(map(dict, self.prompt)), "candidates": candidates}


@dataclass(frozen=True, slots=True)
class Options:
    """Options of scoring; the server's `/docs` describes them.

    Attributes:
        model: the name of a model, or `name@version`, which pins the version; None takes the
            server's first model.
        priority: `bulk` work yields to interactive work.
        over_length: whether a conversation that is too long is an error of its candidate, or loses
            the middle of its prompt.
        steps: the delimiter at which a candidate's steps end; with it, each step is scored, too.
    """

    model: str | None = None
    priority: Literal["interactive", "bulk"] = "interactive"
    over_length: Literal["error", "truncate_prompt"] = "error"
    steps: str | None = None

    def fields(self) -> dict[str, object]:
        """Return the options in the server's JSON."""
        # Options that are not set are left out: the server refuses fields that it does not know,
        # and an older one may not know all of them.
        fields: dict[str, object] = {"priority": self.priority, "over_length": self.over_length}
        if self.model is not None:
            fields["model"] = self.model
        if self.steps is not None:
            fields["steps"] = {"delimiter": self.steps}
        return fields


INTERACTIVE = Options()
# The adapters of trainers use this: a step's completions must not delay people.
BULK = Options(priority="bulk")

"""Inputs of a call: conversations with their candidates, and options of scoring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Message = Mapping[str, object]
"""`{"role": "user", "content": "..."}`, and what else the model's chat template reads."""

Prompt = str | Sequence[Message]
"""A user's message, or a conversation that does not end on the assistant."""

Candidate = str | Sequence[str] | Message
"""A text; its steps, if `Options.steps` asks for their scores; or a turn without its role, for an
answer that calls tools or comes with reasoning."""


@dataclass(frozen=True, slots=True)
class Input:
    """One prompt and the candidate answers to it.

    Attributes:
        tools: that the chat template shows, as transformers takes them.

    Raises:
        ValueError: there are no candidates.
        TypeError: the candidates are one string, which is a sequence of characters, too.
    """

    prompt: Prompt
    candidates: Sequence[Candidate]
    tools: Sequence[Mapping[str, object]] = ()

    def __post_init__(self) -> None:
        # A string passes for a sequence of strings, and each character would be scored.
        if isinstance(self.candidates, str):
            raise TypeError("candidates is one string: give a list of them")
        if not self.candidates:
            raise ValueError("there are no candidates: give at least one")

    def fields(self) -> dict[str, object]:
        """Return the input in the server's JSON."""
        fields: dict[str, object] = {
            "prompt": self.prompt,
            "candidates": list(map(_plain, self.candidates)),
        }
        if not isinstance(self.prompt, str):
            del fields["prompt"]
            fields["messages"] = list(map(dict, self.prompt))
        if self.tools:
            fields["tools"] = list(map(dict, self.tools))
        return fields


def _plain(candidate: Candidate) -> object:
    """The candidate in types that `json` knows."""
    if isinstance(candidate, str):
        return candidate
    return dict(candidate) if isinstance(candidate, Mapping) else list(candidate)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of scoring; the server's `/docs` describes them.

    Attributes:
        model: the name of a model, or `name@version`, which pins the version; None takes the
            server's first model.
        models: instead of `model`, several models with their weights; the score is then the
            weighted sum of their normalized scores.
        criteria: criteria of the model, or labels of its head, with their weights; or their names
            alone, which have the weights of the release. The score is then the weighted sum of the
            raw scores by each, which `Score.parts` holds. Empty asks for the score without any.
        priority: `bulk` work yields to interactive work.
        over_length: whether a conversation that is too long is an error of its candidate, or loses
            the middle of its prompt.
        steps: the delimiter at which a candidate's steps end; with it, each step is scored, too.
    """

    model: str | None = None
    priority: Literal["interactive", "bulk"] = "interactive"
    over_length: Literal["error", "truncate_prompt"] = "error"
    steps: str | None = None
    models: Mapping[str, float] | None = None
    criteria: Mapping[str, float] | Sequence[str] | None = None

    def __post_init__(self) -> None:
        # A string passes for a sequence of names, each of one character.
        if isinstance(self.criteria, str):
            raise TypeError("criteria is one string: give a list of names, or names with weights")

    def fields(self) -> dict[str, object]:
        """Return the options in the server's JSON."""
        # Options that are not set are left out: the server refuses fields that it does not know,
        # and an older one may not know all of them.
        fields: dict[str, object] = {"priority": self.priority, "over_length": self.over_length}
        if self.model is not None:
            fields["model"] = self.model
        if self.models is not None:
            fields["models"] = dict(self.models)
        if self.criteria is not None:
            fields["criteria"] = (
                dict(self.criteria) if isinstance(self.criteria, Mapping) else list(self.criteria)
            )
        if self.steps is not None:
            fields["steps"] = {"delimiter": self.steps}
        return fields


INTERACTIVE = Options()
# The adapters of trainers use this: a step's completions must not delay people.
BULK = Options(priority="bulk")

"""Groups, the unit of hold-out: requests of one group are one problem, whatever their data set."""

import hashlib

from trainer.pairs.row import Request, turns
from trainer.pipeline.sameness import text_key


def group_of(request: Request) -> str:
    """The group of a request, from the first message of the user.

    Conversations with the same opening are one group, because they continue each other and a later
    turn is no new problem.
    """
    opening = next((turn.content for turn in turns(request) if turn.role == "user"), "")
    return hashlib.sha256(text_key(opening).encode()).hexdigest()[:16]


def request_key(request: Request) -> str:
    """Equal for requests that are the same for leakage, whatever turns they are divided into."""
    return text_key(" ".join(turn.content for turn in turns(request)))


def squeezed(text: str) -> str:
    """The text with white space of any length as one space; equal texts differ in nothing else."""
    return " ".join(text.split())

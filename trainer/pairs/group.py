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


def trimmed(text: str) -> str:
    """The text without white space at the end of its lines and at its own end.

    Texts that are equal after this say the same. All other white space counts: an indentation may
    be the one difference between a right program and a wrong one.
    """
    return "\n".join(line.rstrip() for line in text.split("\n")).rstrip()

"""Which requests are one problem, in whichever data set they are: the unit of hold-out."""

import hashlib
import unicodedata

from trainer.pairs.row import Request, turns


def group_of(request: Request) -> str:
    """Requests that open alike are one group: conversations go on from each other, and a turn
    later is no new problem. Case and white space make none, either."""
    opening = next((turn.content for turn in turns(request) if turn.role == "user"), "")
    return hashlib.sha256(normalised(opening).encode()).hexdigest()[:16]


def normalised(text: str) -> str:
    """Equal for texts that differ in case, white space or the width of letters alone."""
    return squeezed(unicodedata.normalize("NFKC", text).casefold())


def squeezed(text: str) -> str:
    """Equal for texts that differ in white space alone."""
    return " ".join(text.split())

"""Where the steps of an answer end."""


def stepped(candidate: str | list[str], delimiter: str) -> tuple[str, tuple[int, ...]]:
    """A candidate as one text, and the characters of it up to the end of each step.

    A text's steps are what `delimiter` separates; a list of steps is joined by it. A step ends with
    its last character that is no white space, and what has none is no step.
    """
    text = candidate if isinstance(candidate, str) else delimiter.join(candidate)
    pieces = text.split(delimiter) if isinstance(candidate, str) else candidate
    ends, start = [], 0
    for piece in pieces:
        if piece.strip():
            ends.append(start + len(piece.rstrip()))
        start += len(piece) + len(delimiter)
    return text, tuple(ends)

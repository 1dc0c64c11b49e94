"""Finds where the steps of an answer end; service and trainer share this rule."""

from collections.abc import Sequence


def join_steps(answer: str | Sequence[str], delimiter: str) -> tuple[str, tuple[int, ...]]:
    """Return an answer as one text, and for each step the number of characters up to its end.

    A step ends with its last character that is not white space; a step of white space alone does
    not count.

    Args:
        answer: one text, whose steps `delimiter` separates, or its steps, which it joins.
    """
    steps = answer.split(delimiter) if isinstance(answer, str) else answer
    ends, start = [], 0
    for step in steps:
        if step.strip():
            ends.append(start + len(step.rstrip()))
        start += len(step) + len(delimiter)
    return delimiter.join(steps), tuple(ends)

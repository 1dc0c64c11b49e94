"""Checks of texts: pairs that contradict or repeat each other, and leakage into held-out rows."""

from collections import Counter
from collections.abc import Iterator

from trainer.pairs.criteria import Criteria
from trainer.pairs.group import request_key, trimmed
from trainer.pairs.row import PreferenceRow, turns
from trainer.preferences.doctor.findings import Finding

# From this number of rows on, one group should not have most of them.
_MIN_GROUPED = 20


def empty_texts(rows: list[PreferenceRow]) -> Finding:
    found = []
    for row in rows:
        asked = turns(row.prompt)[-1]
        texts = [row.chosen, *(rival.text for rival in row.rejected)]
        # The result of a tool may be empty.
        if asked.role != "tool":
            texts.append(asked.content)
        if not all(text.strip() for text in texts):
            found.append(row.id)
    if not found:
        return Finding("empty", "fine", "no text is empty")
    message = f"{len(found)} rows have an empty prompt or answer: remove them"
    return Finding("empty", "warning", message, len(found), found[0])


def repeated_pairs(rows: list[PreferenceRow]) -> list[Finding]:
    """Pairs that contradict another one, and pairs that repeat another one."""
    compared = Counter(pair for row in rows for pair in _compared(row))
    opposite = [
        row.id
        for row in rows
        for prompt, chosen, rejected in _compared(row)
        if (prompt, rejected, chosen) in compared
    ]
    contradictory = Finding("contradictory", "fine", "no pair says the opposite of another")
    if opposite:
        message = (
            f"{len(opposite)} pairs are there both ways round: keep neither, or the better source's"
        )
        contradictory = Finding("contradictory", "warning", message, len(opposite), opposite[0])
    duplicate = Finding("duplicate", "fine", "no pair is there twice")
    if extra := sum(count - 1 for count in compared.values()):
        message = (
            f"{extra} pairs repeat another and count as often: remove them, or mean it as weight"
        )
        first = next(row.id for row in rows for pair in _compared(row) if compared[pair] > 1)
        duplicate = Finding("duplicate", "warning", message, extra, first)
    return [contradictory, duplicate]


def rows_of_criteria(rows: list[PreferenceRow], criteria: Criteria) -> Finding:
    """Whether each criterion has rows to be learnt from."""
    counts = Counter(row.aspect for row in rows if row.aspect)
    untrained = [name for name in criteria if not counts[name]]
    if untrained:
        return Finding(
            "criteria",
            "warning",
            f"no training row is of {', '.join(untrained)}: the release takes requests for it, and "
            "this run does not teach it",
        )
    found = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    return Finding("criteria", "fine", f"rows of each: {found}" if found else "no row has any")


def held_out_rows(
    train: list[PreferenceRow], evaluation: list[PreferenceRow], *, evaluates: bool
) -> Finding:
    """Whether an evaluation row shares its group or its request with a training row.

    Args:
        evaluates: whether the run ranks evaluation rows, and so cannot do without any.
    """
    if not evaluation:
        remedy = "raise evaluation_share, or name a column that makes more groups of the rows"
        if evaluates:
            message = f"eval_steps is set and nothing is held out: {remedy}, or set it to 0"
            return Finding("held out", "fatal", message)
        message = f"nothing is held out, so no figure tells how unseen pairs are ranked: {remedy}"
        return Finding("held out", "warning", message)
    # A request is compared as well, because another source may have the same problem in a group of
    # another name.
    groups = {row.group for row in train}
    requests = {request_key(row.prompt) for row in train}
    by_group = [row.id for row in evaluation if row.group in groups]
    by_request = [row.id for row in evaluation if request_key(row.prompt) in requests]
    found = [*by_group, *by_request]
    if not found:
        return Finding("held out", "fine", f"all {len(evaluation)} evaluation rows")
    return Finding(
        "held out",
        "fatal",
        f"of {len(evaluation)} evaluation rows {len(by_group)} share a group and {len(by_request)} "
        "a request with training rows: split by problem, or drop them from training",
        len(set(found)),
        found[0],
    )


def large_groups(train: list[PreferenceRow], evaluation: list[PreferenceRow]) -> Finding:
    """Whether one group has most of the rows, as when every conversation has the same opening."""
    for name, rows in (("training", train), ("evaluation", evaluation)):
        groups = Counter(row.group for row in rows)
        if len(rows) < _MIN_GROUPED:
            continue  # a handful of rows may well be about one problem
        group, count = groups.most_common(1)[0]
        if 2 * count > len(rows):
            first = next(row.id for row in rows if row.group == group)
            return Finding(
                "groups",
                "warning",
                f"{count} of {len(rows)} {name} rows are one group of {len(groups)}, and a group "
                "is held out whole or not at all: name a column that tells the problems apart as "
                "the source's `group`",
                count,
                first,
            )
    number = len({row.group for row in train})
    return Finding("groups", "fine", f"{len(train)} training rows of {number} groups")


def _compared(row: PreferenceRow) -> Iterator[tuple[str, str, str]]:
    """Prompt, chosen and rejected text of each pair, without trailing white space."""
    prompt = "\n".join(f"{turn.role}: {trimmed(turn.content)}" for turn in turns(row.prompt))
    # By another criterion, the other answer may well be the better one.
    prompt = f"{row.aspect}\n{prompt}"
    chosen = trimmed(row.chosen)
    for rival in row.rejected:
        if trimmed(rival.text) != chosen:  # a pair of one text is found among the lengths
            yield prompt, chosen, trimmed(rival.text)

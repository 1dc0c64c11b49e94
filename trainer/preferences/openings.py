"""Conversations that begin alike and are about different problems: later turns tell them apart.

The group of a request is its opening, which agents' data often words alike for every task. Such an
opening would put all rows on one side of the hold-out.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from reward_model.text.chat import Message
from trainer.pairs.group import group_of
from trainer.pairs.row import PreferenceRow, turns
from trainer.pipeline.sameness import text_key

# A problem is taken up in a few ways: by samples of its first answer. An opening that is followed
# by more than these, or that has most of all rows, names no problem.
_MAX_BRANCHES = 16


def divided_openings(rows: Iterable[PreferenceRow]) -> dict[str, str]:
    """The groups of rows whose opening names no problem, by the ids of the rows.

    Conversations that go on alike stay together: groups part at the first turn that differs.
    """
    by_opening: dict[str, list[PreferenceRow]] = defaultdict(list)
    for row in rows:
        # A group that a column or a passage names is none of an opening.
        if row.group == group_of(row.prompt):
            by_opening[row.group].append(row)
    total = sum(map(len, by_opening.values()))
    groups: dict[str, str] = {}
    waiting = [
        (opening, 0, [(row.id, _keys(row)) for row in members])
        for opening, members in by_opening.items()
        if len(members) > _MAX_BRANCHES or 2 * len(members) > total
    ]
    while waiting:
        name, depth, members = waiting.pop()
        branches: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
        for member in members:
            branches[member[1][depth] if depth < len(member[1]) else ""].append(member)
        ended = branches.pop("", [])
        groups |= {identity: name for identity, _ in ended}
        if len(branches) > _MAX_BRANCHES or (len(branches) > 1 and 2 * len(members) > total):
            for key, branch in branches.items():
                digest = hashlib.sha256(f"{name} {key}".encode()).hexdigest()[:16]
                waiting.append((digest, depth + 1, branch))
        elif len(branches) == 1:
            (branch,) = branches.values()
            waiting.append((name, depth + 1, branch))
        else:
            groups |= {identity: name for branch in branches.values() for identity, _ in branch}
    return groups


def in_groups(rows: Iterable[PreferenceRow], groups: dict[str, str]) -> list[PreferenceRow]:
    """The rows, in their groups by id where they have one there."""
    return [replace(row, group=groups.get(row.id, row.group)) for row in rows]


def _keys(row: PreferenceRow) -> list[str]:
    """Equal for turns that say the same, by the rule of leakage; never empty."""
    return [f"{turn.role} {text_key(turn.content)} {_called(turn)}" for turn in turns(row.prompt)]


def _called(turn: Message) -> str:
    """The functions that a turn calls; the ids of calls are random."""
    calls = json.loads(turn.extra).get("tool_calls") if turn.extra else None
    found = [call.get("function") for call in calls or [] if isinstance(call, dict)]
    return json.dumps(found) if found else ""

"""The doctor for policy rows: faults of pairs that show before training starts."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from trainer.pairs.policy_row import PolicyRow
from trainer.policy.encoded import EncodedPolicyRow
from trainer.policy.reference import text_key
from trainer.preferences.doctor.findings import Finding, Findings

# Share of longer chosen answers from which length alone is a strong guess, and pairs from which
# the share says something.
_ONE_SIDED, _MIN_PAIRS = 0.65, 20


def examine_rows(
    rows: list[PolicyRow],
    encoded: list[EncodedPolicyRow],
    left_out: Counter[str],
    end_id: int,
    max_length: int,
) -> Findings:
    """Run every check on rows as they are trained on.

    Args:
        rows: all rows of the pairs' stages.
        encoded: those that are trained on.
        left_out: the other rows and answers, by reason.
        end_id: token that ends an answer.
    """
    tokens = [len(row.prompt_ids) + len(each.ids) for row in encoded for each in row.answers]
    median, p99, longest = np.quantile(tokens, [0.5, 0.99, 1.0])
    lengths = {"median": int(median), "99 %": int(p99), "longest": int(longest)}
    checks = (
        _left_out(left_out, max_length),
        _exact_ids(rows),
        _ends(encoded, end_id),
        *_repeated(encoded),
        _length_bias(encoded),
        _groups(encoded),
    )
    return Findings(checks, lengths | {"limit": max_length})


def _left_out(counts: Counter[str], max_length: int) -> Finding:
    if not counts.total():
        return Finding("left out", "fine", f"all answers fit into {max_length} tokens")
    reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common())
    return Finding("left out", "warning", f"{reasons}; max_length is {max_length}", counts.total())


def _exact_ids(rows: list[PolicyRow]) -> Finding:
    answers = [(row, answer) for row in rows for answer in (row.chosen, *row.rejected)]
    without = [row.id for row, answer in answers if not (answer.token_ids and row.prompt_ids)]
    if not without:
        return Finding("token ids", "fine", "all are the sampler's own")
    message = (
        f"{len(without)} of {len(answers)} answers have no token ids and are encoded from their "
        "text, perhaps to other tokens than were sampled: let the samples' endpoint return ids"
    )
    return Finding("token ids", "warning", message, len(without), without[0])


def _ends(rows: list[EncodedPolicyRow], end_id: int) -> Finding:
    """Chosen answers that never end teach a policy not to end."""
    whole = [row for row in rows if row.ends]
    cut = [row.id for row in whole if row.chosen.ids[-1] != end_id]
    if not cut:
        return Finding("ends", "fine", "all whole chosen answers end with the end token")
    message = (
        f"{len(cut)} of {len(whole)} chosen answers do not end with token {end_id}, as when a "
        "limit cut them short: leave them out, or name end_token"
    )
    return Finding("ends", "warning", message, len(cut), cut[0])


def _repeated(rows: list[EncodedPolicyRow]) -> list[Finding]:
    """Pairs that contradict another one, and pairs that repeat another one."""

    def compared(row: EncodedPolicyRow) -> Iterator[tuple[str, str]]:
        chosen = text_key(row.prompt_ids, row.chosen.ids)
        return ((chosen, text_key(row.prompt_ids, answer.ids)) for answer in row.rejected)

    count = Counter(pair for row in rows for pair in compared(row))
    opposite = [row.id for row in rows for one, two in compared(row) if (two, one) in count]
    contradictory = Finding("contradictory", "fine", "no pair says the opposite of another")
    if opposite:
        message = f"{len(opposite)} pairs are there both ways round: keep neither"
        contradictory = Finding("contradictory", "warning", message, len(opposite), opposite[0])
    duplicate = Finding("duplicate", "fine", "no pair is there twice")
    if extra := sum(number - 1 for number in count.values()):
        first = next(row.id for row in rows for pair in compared(row) if count[pair] > 1)
        message = f"{extra} pairs repeat another and count as often: remove them"
        duplicate = Finding("duplicate", "warning", message, extra, first)
    return [contradictory, duplicate]


def _length_bias(rows: list[EncodedPolicyRow]) -> Finding:
    """How often the chosen answer is the longer one: DPO follows length readily."""
    pairs = [(len(row.chosen.ids), len(answer.ids)) for row in rows for answer in row.rejected]
    unequal = [(chosen, rejected) for chosen, rejected in pairs if chosen != rejected]
    longer = sum(chosen > rejected for chosen, rejected in unequal)
    ratio = sum(chosen for chosen, _ in pairs) / sum(rejected for _, rejected in pairs)
    share = longer / len(unequal) if unequal else 0.5
    message = (
        f"the chosen answer is the longer one in {share:.0%} of {len(unequal)} pairs, and chosen "
        f"answers have {ratio:.2f} times the tokens"
    )
    if len(unequal) < _MIN_PAIRS or 1 - _ONE_SIDED < share < _ONE_SIDED:
        return Finding("length bias", "fine", message, longer)
    advice = "the policy may learn the length: compare the lengths of its samples afterwards"
    return Finding("length bias", "warning", f"{message}: {advice}", longer)


def _groups(rows: list[EncodedPolicyRow]) -> Finding:
    pairs: Counter[str] = Counter()
    for row in rows:
        pairs[row.group] += len(row.rejected)
    most = max(pairs.values())
    message = f"{pairs.total()} pairs of {len(pairs)} problems, at most {most} of one"
    return Finding("problems", "fine", message)

"""The doctor: faults of a training run that show before it starts. It changes nothing."""

from types import MappingProxyType

from reward_model.text.encoding import Encoder
from trainer.pairs.criteria import Criteria, shown
from trainer.pairs.encoded import EncodedRow
from trainer.pairs.row import PreferenceRow
from trainer.pipeline.stage import StageError
from trainer.preferences.doctor import (
    check_conversations,
    check_lengths,
    check_model,
    check_pairs,
)
from trainer.preferences.doctor.check_model import ModelFacts
from trainer.preferences.doctor.findings import Findings


def examine(
    rows: list[PreferenceRow],
    encoded: list[EncodedRow],
    evaluation: list[PreferenceRow],
    encoder: Encoder,
    facts: ModelFacts,
    *,
    criteria: Criteria = MappingProxyType({}),
    evaluates: bool = False,
) -> Findings:
    """Run every check on rows as they are about to be trained and evaluated on.

    Lengths, duplicates and the like are those of training rows. Evaluation rows are only checked
    for leakage: none of them may be trained on.

    Args:
        encoded: `rows` as token ids, in the same order.
        criteria: those that rows name as their aspect, whose prompts are part of `encoded`.
        evaluates: whether the run ranks `evaluation` rows, and so cannot do without any.
    """
    if not rows:
        raise StageError("there is no training row to examine")
    limit = encoder.max_tokens
    seen = [shown(row, criteria) for row in rows]
    checks = [
        check_model.score_head(facts),
        check_model.pad_token(facts),
        check_model.bos_token(encoded, facts),
        check_conversations.chat_templates(facts),
        check_model.clock(encoder),
        *check_model.template(seen, encoded, encoder, facts.tokenizer),
        check_conversations.left_out(seen, facts.tokenizer),
        check_conversations.control_tokens(seen, facts.tokenizer),
        check_lengths.refused_rows(encoded),
        check_lengths.over_length(encoded, limit),
        check_lengths.identical_texts(encoded),
        check_lengths.length_bias(encoded),
        check_lengths.extreme_lengths(rows),
        check_pairs.rows_of_criteria(rows, criteria),
        check_pairs.empty_texts(rows),
        *check_pairs.repeated_pairs(rows),
        check_pairs.large_groups(rows, evaluation),
        check_pairs.held_out_rows(rows, evaluation, evaluates=evaluates),
    ]
    return Findings(tuple(checks), check_lengths.spread(encoded, limit))

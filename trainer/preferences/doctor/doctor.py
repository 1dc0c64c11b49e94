"""What is wrong with a training run before it starts. Pure: it reads rows, and changes nothing."""

from reward_model.text.encoding import Encoder
from trainer.pairs.row import PreferenceRow
from trainer.pipeline.stage import StageError
from trainer.preferences.doctor.check_lengths import examine_lengths, measure, spread
from trainer.preferences.doctor.check_model import ModelFacts, examine_model
from trainer.preferences.doctor.check_pairs import examine_pairs
from trainer.preferences.doctor.findings import Findings, report

__all__ = ["Findings", "ModelFacts", "examine", "report"]


def examine(
    train_rows: list[PreferenceRow],
    evaluation_rows: list[PreferenceRow],
    encoder: Encoder,
    facts: ModelFacts,
) -> Findings:
    """Every check, on rows as they are about to be trained and evaluated on.

    Lengths, duplicates and the like are those of training rows; of evaluation rows it matters
    that none is trained on. Costs one encoding of every training text.
    """
    if not train_rows:
        raise StageError("there is no training row to examine")
    measured, refused = measure(train_rows, encoder)
    checks = [
        *examine_model(train_rows, encoder, facts),
        *examine_lengths(measured, refused, encoder.max_tokens),
        *examine_pairs(train_rows, evaluation_rows),
    ]
    return Findings(tuple(checks), spread(measured, encoder.max_tokens))

"""How far the reference policy is from the policy that sampled the pairs.

DPO's loss takes the answers for the reference's own. Pairs of another policy teach less and may
hurt (arXiv 2410.18585), and nothing in the loss shows it. The gap is measured in nats for each
token: the log-prob under the reference less the one that the sampler reported.
"""

from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from trainer.evaluation.measures.estimate import Estimate, Resampling, estimate, mean
from trainer.feedback.serving import Weights
from trainer.policy.encoded import EncodedPolicyRow
from trainer.policy.reference import text_key
from trainer.preferences.doctor.findings import Finding, Severity

# Mean nats for each token that rounding alone makes, of a sampler in bfloat16 or 8 bits.
_ROUNDING = 0.05


@dataclass(frozen=True)
class SamplerGap:
    """Who sampled the pairs, and the measured gap.

    Attributes:
        rows: all rows.
        of_reference, of_others, unknown: rows by whether the reference sampled them.
        other_template: rows whose prompts were made by another chat template.
        gap: mean over all tokens whose log-prob the sampler reported, with an interval over
            problems; None where there are none.
    """

    rows: int
    of_reference: int
    of_others: int
    unknown: int
    other_template: int
    gap: Estimate | None

    @property
    def findings(self) -> list[Finding]:
        """The findings for the log and the manifest."""
        if self.gap is None:
            measured = "no row has its sampler's log-probs, so the gap is not known"
        else:
            measured = (
                f"reference less sampler is {self.gap.value:+.4f} nats a token "
                f"[{self.gap.low:+.4f}, {self.gap.high:+.4f}] over {self.gap.n} tokens"
            )
        is_far = self.gap is not None and abs(self.gap.value) > _ROUNDING
        if self.of_others:
            who = f"{self.of_others} of {self.rows} rows were not sampled by the reference"
        elif self.unknown:
            who = f"{self.unknown} of {self.rows} rows do not say which policy sampled them"
        else:
            who = "the reference sampled all rows"
        warns = self.of_others or is_far or (self.unknown and self.gap is None)
        advice = ": sample from the start, or name the sampler as reference" if warns else ""
        severity: Severity = "warning" if warns else "fine"
        found = [Finding("sampler", severity, f"{who}; {measured}{advice}", self.of_others)]
        if self.other_template:
            message = (
                f"{self.other_template} of {self.rows} rows were sampled with another chat "
                "template than the reference's: the policy may be served with other prompts than "
                "it was trained on"
            )
            found.append(Finding("sampler's template", "warning", message, self.other_template))
        return found

    def facts(self) -> dict[str, object]:
        """The numbers as they go into a stage's manifest."""
        return asdict(self)


def sampler_gap(
    rows: list[EncodedPolicyRow], log_probs: Mapping[str, "array[float]"], reference: Weights
) -> SamplerGap:
    """Compare the rows' samplers with the reference.

    Args:
        log_probs: of each answer's tokens under the reference, by `text_key`.
    """
    groups, columns, seen = [], [], set()
    for row in rows:
        for answer in row.answers:
            key = text_key(row.prompt_ids, answer.ids)
            if not answer.log_probs or key in seen:  # an answer may be in many pairs
                continue
            seen.add(key)
            difference = np.subtract(log_probs[key], answer.log_probs)
            # A sampler reports -inf, or a number that stands for it, for a token that was cut off.
            difference = difference[np.abs(difference) < 100]
            groups.append(row.group)
            columns.append((float(difference.sum()), float(len(difference))))
    tokens = int(sum(count for _, count in columns))
    gap = None
    if tokens:
        bounds = (-np.inf, np.inf)
        gap = estimate(
            groups, np.array(columns), mean, Resampling(resamples=500), n=tokens, bounds=bounds
        )
    return SamplerGap(
        len(rows),
        sum(row.sampler == reference.digest for row in rows),
        sum(row.sampler not in ("", reference.digest) for row in rows),
        sum(not row.sampler for row in rows),
        sum(row.template not in ("", reference.template) for row in rows),
        gap,
    )

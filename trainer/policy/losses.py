"""The losses of direct preference optimization, each one function of a pair's log-ratios.

Names are those of TRL's `DPOConfig` (`loss_type`, `beta`, `label_smoothing`), and so are the
numbers: `tests/trainer/policy/test_trl.py` compares them. To add a loss, write its function here
and add it to `LOSSES`.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

LossType = Literal["sigmoid", "ipo", "minor_dpo", "sft"]


class LogRatios(NamedTuple):
    """`log policy - log reference` of the answers of each pair, summed over tokens; all [pairs].

    With token weights (TIS-DPO, arXiv 2410.04350, equation 13) each token's log-ratio is multiplied
    by its weight before it is summed; any of the losses may be given such sums.

    Attributes:
        chosen, rejected: log-ratios.
        chosen_tokens, rejected_tokens: how many tokens they are sums over.
    """

    chosen: Tensor
    rejected: Tensor
    chosen_tokens: Tensor
    rejected_tokens: Tensor


def sigmoid_loss(ratios: LogRatios, beta: float, label_smoothing: float) -> Tensor:
    """DPO: -log sigmoid(beta (log-ratio of chosen - that of rejected)), arXiv 2305.18290, eq. 7.

    With label smoothing e, the chance that a pair is the wrong way round, it is conservative DPO:
    (1 - e) of that loss and e of the loss of the pair turned round (cDPO, "A note on DPO with noisy
    preferences", equation 3).
    """
    logits = beta * (ratios.chosen - ratios.rejected)
    return -logsigmoid(logits) * (1 - label_smoothing) - logsigmoid(-logits) * label_smoothing


def ipo_loss(ratios: LogRatios, beta: float, _: float) -> Tensor:
    """IPO: (difference of log-ratios - 1 / (2 beta))^2, arXiv 2310.12036, equation 17.

    `beta` is the paper's tau. As in TRL, a log-ratio is the mean over its tokens, which the
    authors confirmed: with sums the aim would depend on length.
    """
    chosen = ratios.chosen / ratios.chosen_tokens
    rejected = ratios.rejected / ratios.rejected_tokens
    return (chosen - rejected - 1 / (2 * beta)).square()


def minor_dpo_loss(ratios: LogRatios, beta: float, _: float) -> Tensor:
    """Minor DPO: -log sigmoid(beta (chosen - max(0, rejected))), arXiv 2408.09834.

    A rejected answer that is already less likely than under the reference is pushed no further.
    """
    return -logsigmoid(beta * (ratios.chosen - ratios.rejected.clamp(min=0)))


# Each loss by its `loss_type`. The remaining one, `sft`, is none of pairs: see `PolicyModel`.
LOSSES: dict[str, Callable[[LogRatios, float, float], Tensor]] = {
    "sigmoid": sigmoid_loss,
    "ipo": ipo_loss,
    "minor_dpo": minor_dpo_loss,
}


def figures_of(ratios: LogRatios, beta: float) -> dict[str, Tensor]:
    """What the log says of each pair: implicit rewards by TRL's names, and clamped pairs.

    The implicit reward of an answer is beta times its log-ratio (arXiv 2305.18290, section 4).
    """
    chosen, rejected = beta * ratios.chosen, beta * ratios.rejected
    return {
        "rewards/chosen": chosen,
        "rewards/rejected": rejected,
        "rewards/accuracies": (chosen > rejected).float(),
        "rewards/margins": chosen - rejected,
        # Rejected answers that Minor DPO's loss would push no further.
        "rejected_clamped": (ratios.rejected <= 0).to(torch.float32),
    }

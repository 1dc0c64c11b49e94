"""The config of a run of direct preference optimization."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from trainer.pipeline.stage import StageError
from trainer.policy.losses import LOSSES, LossType
from trainer.training.config import LoopConfig


@dataclass(frozen=True, kw_only=True)
class DpoConfig(LoopConfig):
    """One run of DPO. Names that TRL's `DPOConfig` has as well mean the same here.

    Attributes:
        pairs: stage of policy rows.
        replay: further stages of policy rows, such as those of earlier rounds.
        swap_sides: train on every pair the wrong way round, for the second policy that
            `token_weights` are estimated with.
        evaluation_share: share of the problems that are held out whole, for `eval_steps`.
        reference: stage, directory or hub id of the reference policy; None is the start.
        second_reference: a further reference, with which the first one becomes a virtual one
            (arXiv 2405.16388); it may have another tokenizer. None for none.
        second_reference_eta: largest relative distance of the second reference's log-prob of an
            answer from the first one's, to which it is clipped.
        beta: how strongly the policy is held near the reference; for IPO the paper's tau.
        loss_type: losses that are added up: `sigmoid` is DPO's, `sft` the negative log-likelihood
            of chosen answers, and `trainer.policy.losses` has the others.
        loss_weights: the weight of each of them; None gives each 1.
        label_smoothing: share of pairs that are taken to be the wrong way round, for `sigmoid`.
        token_weights: stage of `TokenWeights` for TIS-DPO (arXiv 2410.04350); None weighs all
            tokens alike.
    """

    pairs: str = "policy_pairs"
    replay: tuple[str, ...] = ()
    swap_sides: bool = False
    evaluation_share: float = 0.05
    reference: str | None = None
    second_reference: str | None = None
    second_reference_eta: float = 0.1
    beta: float = 0.1
    loss_type: tuple[LossType, ...] = ("sigmoid",)
    loss_weights: tuple[float, ...] | None = None
    label_smoothing: float = 0.0
    token_weights: str | None = None
    lr_scheduler_type: Literal["warmup_stable_decay", "cosine"] = "cosine"
    optimizer: Literal["muon", "adamw"] = "adamw"
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Raise StageError for settings that contradict each other."""
        super().__post_init__()
        if not self.beta > 0:
            raise StageError(f"beta is {self.beta}: it must be above 0")
        if not 0 <= self.label_smoothing < 0.5:
            raise StageError(f"label_smoothing is {self.label_smoothing}: it must be in [0, 0.5)")
        if self.label_smoothing and "sigmoid" not in self.loss_type:
            raise StageError("label_smoothing is for the loss_type sigmoid alone: set it to 0")
        if not set(self.loss_type) & set(LOSSES):
            raise StageError(f"loss_type has no loss of pairs: name one of {', '.join(LOSSES)}")
        if len(set(self.loss_type)) < len(self.loss_type):
            raise StageError("loss_type names a loss twice: write it once, and its weight")
        if not 0 <= self.second_reference_eta < 1:
            raise StageError("second_reference_eta must be in [0, 1)")
        if self.second_reference is not None and self.token_weights is not None:
            raise StageError(
                "token_weights are of the policy's tokens, and second_reference is compared by "
                "whole answers: set one of them"
            )
        if self.loss_weights is not None and not all(0 <= w < inf for w in self.loss_weights):
            raise StageError(f"loss_weights are {self.loss_weights}: none may be negative or inf")
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            raise StageError(
                f"loss_weights has {len(self.loss_weights)} numbers for {len(self.loss_type)} "
                "entries of loss_type: write one for each"
            )

    @property
    def losses(self) -> dict[str, float]:
        """The weight of each loss."""
        weights = self.loss_weights or (1.0,) * len(self.loss_type)
        return dict(zip(self.loss_type, weights, strict=True))

"""The network with all terms of its loss as one module.

All parameters are used inside its `forward`, also those of the score head and of the output
embedding, because FSDP has gathered them only there.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from reward_model.network import head_scores, packed_hidden
from trainer.training.objective.batches import Batch, Totals, training_tree
from trainer.training.objective.losses import TERMS, Forward, JointLoss, LossWeights


class JointModel(nn.Module):
    """Backbone and score head, and the output embedding where it is apart from the input's.

    Attributes:
        network: attends by `reward_model.attention.IMPLEMENTATION`.
        output: [vocabulary, hidden]; None when it is the input embedding.
    """

    def __init__(
        self, network: PreTrainedModel, weights: LossWeights, output: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.weights = weights
        self.output = output

    def forward(self, batch: Batch, totals: Totals | None = None) -> JointLoss:
        """Terms of one packed batch, divided by `totals`, or by the batch's own without them."""
        hidden_TD = packed_hidden(self.network, training_tree(batch.packed, self.network.device))
        scores = head_scores(self.head, hidden_TD[batch.score_at])
        differences = scores[batch.chosen] - scores[batch.rejected]
        tied = self.network.get_input_embeddings().weight
        output = tied if self.output is None else self.output
        assert isinstance(output, Tensor)
        forward = Forward(
            batch,
            totals or batch.totals,
            self.weights,
            hidden_TD,
            scores,
            differences,
            self.head,
            output,
        )
        terms = {}
        for name, term in TERMS.items():
            needed = self.training and getattr(self.weights, name)
            # A term that is left out has a gradient of zero: DDP and FSDP wait for one.
            skipped = term.at_every_token and not needed
            terms[name] = differences.sum() * 0 if skipped else term.compute(forward)
        total = torch.stack([value * getattr(self.weights, n) for n, value in terms.items()]).sum()
        return JointLoss(total, terms, differences)

    @property
    def head(self) -> nn.Linear:
        """The score head; under PEFT, the copy of it that is trained."""
        head = self.network.get_submodule("score")
        copies = getattr(head, "modules_to_save", None)
        head = head if copies is None else copies["default"]
        assert isinstance(head, nn.Linear)
        return head

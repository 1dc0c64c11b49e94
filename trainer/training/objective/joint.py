"""The network with all its losses as one module.

All parameters are used inside its `forward`, the score head's and the output embedding's too: that
is where FSDP has gathered them.
"""

from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from transformers import PreTrainedModel

from reward_model.attention.tree import Tree
from reward_model.network import head_scores, packed_hidden
from trainer.training.objective.batches import Batch, Totals
from trainer.training.objective.loss import (
    JointLoss,
    LossWeights,
    centring_sum,
    like,
    lm_sum,
    ranking_sum,
    token_shares,
)


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
        """Terms of one packed batch, sums divided by `totals`, those of the batch alone if None.

        The two that look at every token are computed only in training, and if they weigh anything.
        """
        totals = totals or batch.totals
        hidden_TD = packed_hidden(self.network, Tree.of(batch.packed, self.network.device))
        scores = self._scores(hidden_TD, batch.score_at)
        differences = scores[batch.chosen] - scores[batch.rejected]
        pairs, lm = max(totals.pairs, 1e-9), max(totals.lm, 1e-9)
        none = differences.sum() * 0
        lm_on, tokens_on = (w and self.training for w in (self.weights.lm, self.weights.tokens))
        return JointLoss(
            rank=ranking_sum(differences, batch, self.weights.margin) / pairs,
            lm=lm_sum(hidden_TD, self._output(), batch) / lm if lm_on else none,
            tokens=self._token_sum(hidden_TD, batch) / pairs if tokens_on else none,
            centring=centring_sum(scores, batch) / pairs,
            differences=differences,
        )

    def _token_sum(self, hidden_TD: Tensor, batch: Batch) -> Tensor:
        """The ranking loss of aligned tokens, averaged within each pair."""
        chosen = [index for pair, _ in batch.tokens for index in pair]
        rejected = [index for _, pair in batch.tokens for index in pair]
        gaps = self._scores(hidden_TD, chosen) - self._scores(hidden_TD, rejected)
        return -(logsigmoid(gaps) * like(token_shares(batch), gaps)).sum()

    def _scores(self, hidden_TD: Tensor, indices: list[int]) -> Tensor:
        return head_scores(self.head, hidden_TD[indices])

    @property
    def head(self) -> nn.Linear:
        """The score head; under PEFT, the copy of it that is trained."""
        head = self.network.get_submodule("score")
        copies = getattr(head, "modules_to_save", None)
        head = head if copies is None else copies["default"]
        assert isinstance(head, nn.Linear)
        return head

    def _output(self) -> Tensor:
        if self.output is not None:
            return self.output
        embedding = self.network.get_input_embeddings().weight
        assert isinstance(embedding, Tensor)
        return embedding

"""Encoded rows -> a packed batch, and where in it the terms of the loss find what they need."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch

from reward_model.attention.tree import Tree
from reward_model.cpu.onednn_linear import padded_rows
from reward_model.packing import Packed, Sequence, pack, padded, shared_prefix
from trainer.pairs.encoded import EncodedRow


class Totals(NamedTuple):
    """Divisors of the loss: sums over one optimizer step, all micro-batches and processes counted.

    Attributes:
        pairs: weights of all pairs.
        lm: weights of all tokens that the language-model loss predicts.
    """

    pairs: float
    lm: float


@dataclass(frozen=True)
class Batch:
    """A packed batch. Lists that have an entry for each pair are in the same order.

    Attributes:
        packed: all texts, every shared prefix once.
        score_at: flat index of each text's last token, where its score is read.
        chosen, rejected: a pair's two texts, as indices into `score_at`.
        weights: a pair's weight in the loss.
        margins: by how much a pair's chosen answer is known to be better.
        tokens: a pair's tokens from where its texts part: flat indices in the chosen and in the
            rejected answer, as many as the shorter one has.
        lm_at: flat indices of tokens, all in chosen answers, whose next token is predicted.
        lm_targets: the token that follows each of them.
        lm_weights: the weight of each prediction.
    """

    packed: Packed
    score_at: list[int]
    chosen: list[int] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)
    margins: list[float] = field(default_factory=list)
    tokens: list[tuple[list[int], list[int]]] = field(default_factory=list)
    lm_at: list[int] = field(default_factory=list)
    lm_targets: list[int] = field(default_factory=list)
    lm_weights: list[float] = field(default_factory=list)

    @property
    def totals(self) -> Totals:
        return Totals(sum(self.weights), sum(self.lm_weights))


@dataclass(frozen=True)
class Collator:
    """Packs rows whose answers all fit, as `trainer.training.objective.fitting` leaves them.

    Attributes:
        lm_on_prompt: whether the language-model loss covers prompts too, as a warm-up's does.
    """

    lm_on_prompt: bool = False

    def __call__(self, rows: list[EncodedRow]) -> dict[str, Batch]:
        return {"batch": self.batch(rows)}

    def batch(self, rows: Iterable[EncodedRow]) -> Batch:
        """Pack the texts of all rows, and note where each term of the loss reads them."""
        rows = list(rows)
        # A row's texts are neighbours, but the packed layout orders all texts by their prefixes.
        texts = [text for row in rows for text in self._texts(row)]
        packed = pack(texts)
        batch = Batch(packed, score_at=[reads[-1] for reads in packed.reads])
        chosen_index = 0  # index among all texts; a row's rejected texts follow its chosen one
        for row in rows:
            chosen, chosen_at = texts[chosen_index], packed.reads[chosen_index]
            # The last read token is the end of the text, which predicts nothing.
            batch.lm_at.extend(chosen_at[:-1])
            batch.lm_targets.extend(chosen.ids[position + 1] for position in chosen.read_at[:-1])
            batch.lm_weights.extend([row.weight] * (len(chosen_at) - 1))
            for index, rival in enumerate(row.rejected, start=chosen_index + 1):
                batch.chosen.append(chosen_index)
                batch.rejected.append(index)
                batch.weights.append(row.weight)
                batch.margins.append(rival.margin)
                rival_at = packed.reads[index]
                # The chosen text is read from before its answer, this one from their parting.
                aligned_at = chosen_at[texts[index].read_at[0] - chosen.read_at[0] :]
                count = min(len(aligned_at), len(rival_at))
                batch.tokens.append((aligned_at[:count], rival_at[:count]))
            chosen_index += 1 + len(row.rejected)
        return batch

    def _texts(self, row: EncodedRow) -> list[Sequence]:
        """The chosen text, read where it predicts, and the others, read where they differ."""
        ids = tuple(row.chosen.ids)
        # The token before the answer is read, too: it predicts the answer's first token.
        start = 0 if self.lm_on_prompt else row.prompt_tokens - 1
        texts = [Sequence(ids, tuple(range(start, len(ids))))]
        for rival in row.rejected:
            other = tuple(rival.text.ids)
            # A text that is the beginning of the chosen one still has its last token read.
            parting = min(shared_prefix(ids, other), len(other) - 1)
            texts.append(Sequence(other, tuple(range(parting, len(other)))))
        return texts


def training_tree(packed: Packed, device: torch.device) -> Tree:
    """A packed batch on the device that it is trained on; on a CPU, filled up to one of few
    lengths.

    oneDNN compiles every product for its number of rows, and keeps what it compiled: as many
    lengths as steps would cost time and memory.
    """
    if device.type == "cpu":
        packed = padded(packed, padded_rows(len(packed.ids)))
    return Tree.of(packed, device)

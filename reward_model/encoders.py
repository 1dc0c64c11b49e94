"""Encoders: reward models and rerankers that read both ways, and score a text as a whole.

Nothing is shared between texts and nothing is padded. Of three ways to the same scores the first
that passes its self-check is taken: all texts in one flat row, where attention goes through
transformers' AttentionInterface; texts of equal length in one batch; each text alone.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from reward_model.attention.whole_texts import IMPLEMENTATION, FlatLayout
from reward_model.packing import Sequence
from reward_model.positions import positions_of
from reward_model.release.checkpoint import backbone_dtype
from reward_model.selfcheck import Scores, disagreement

_log = logging.getLogger(__name__)

_FLAT = frozenset(
    {"bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "modernbert"}
)
"""Attention goes through AttentionInterface; each is tested for parity."""

_BY_LENGTH = frozenset({"deberta", "deberta-v2"})
"""Attention is their own (disentangled); each is tested for parity."""

_GROUP_TOKENS = 4096
"""Most tokens in a batch of equal lengths: disentangled attention keeps all its products."""

Ids = tuple[int, ...]
Way = Callable[[PreTrainedModel, list[Ids]], list[float]]


def is_encoder(model: PreTrainedModel) -> bool:
    """One that is known and tested; BERT and its kin can be configured as causal decoders."""
    config = model.config
    known = config.model_type in _FLAT | _BY_LENGTH
    return known and not getattr(config, "is_decoder", False)


class EncoderForward:
    """An encoder's forward over batches of whole texts.

    Attributes:
        fallback_reason: why a slower way than the architecture's own is taken; None when not.
    """

    def __init__(self, model: PreTrainedModel, max_tokens: int) -> None:
        self._model = model
        self.fallback_reason: str | None = None
        self._way = self._choose(_probe(model, max_tokens))
        _log.info("an encoder: texts are computed whole, %s", self._way.__name__)

    @torch.inference_mode()
    def score(self, batch: list[Sequence]) -> Scores:
        """One score for each text, whatever position is to be read.

        Raises:
            ValueError: several positions of a text are asked for; an encoder has one score.
        """
        if any(len(sequence.read_at) > 1 for sequence in batch):
            raise ValueError("an encoder has one score for a whole text, none for its steps")
        return _rows(self._way(self._model, [sequence.ids for sequence in batch]))

    @torch.inference_mode()
    def _choose(self, probe: list[Ids]) -> Way:
        plain = _rows(score_alone(self._model, probe))
        if self._model.config.model_type in _FLAT:
            usual = self._model.config._attn_implementation
            self._model.set_attn_implementation(IMPLEMENTATION)
            if self._agrees("flat", score_flat, plain, probe):
                return score_flat
            self._model.set_attn_implementation(usual)
        if self._agrees("equal-length", score_by_length, plain, probe):
            return score_by_length
        return score_alone

    def _agrees(self, name: str, way: Way, plain: Scores, probe: list[Ids]) -> bool:
        dtype = backbone_dtype(self._model)
        reason = disagreement(name, plain, lambda: _rows(way(self._model, probe)), dtype)
        self.fallback_reason = reason or self.fallback_reason
        return reason is None


def score_flat(model: PreTrainedModel, batch: list[Ids]) -> list[float]:
    """All texts in one row, shortest first, so that equal lengths attend in one call."""
    order = sorted(range(len(batch)), key=lambda index: len(batch[index]))
    texts = [batch[index] for index in order]
    ids = [token for text in texts for token in text]
    positions = [position for text in texts for position in positions_of(model, text)]
    layout = FlatLayout.of([len(text) for text in texts])
    with _pooled(model, layout):
        logits = model(
            input_ids=torch.tensor([ids], device=model.device),
            position_ids=torch.tensor([positions], device=model.device),
            texts=layout,
        ).logits
    return _in_order(order, logits[:, 0].tolist())


def score_by_length(model: PreTrainedModel, batch: list[Ids]) -> list[float]:
    """Texts of equal length need no padding to be a batch."""
    by_length: dict[int, list[int]] = {}
    for index, ids in enumerate(batch):
        by_length.setdefault(len(ids), []).append(index)
    order: list[int] = []
    scores: list[float] = []
    for length, indices in by_length.items():
        for group in _chunks(indices, max(1, _GROUP_TOKENS // length)):
            rows = torch.tensor([batch[index] for index in group], device=model.device)
            order += group
            scores += model(input_ids=rows).logits[:, 0].tolist()
    return _in_order(order, scores)


def score_alone(model: PreTrainedModel, batch: list[Ids]) -> list[float]:
    """The plain forward, one text at a time."""
    return [
        float(model(input_ids=torch.tensor([ids], device=model.device)).logits[0, 0])
        for ids in batch
    ]


@contextmanager
def _pooled(model: PreTrainedModel, texts: FlatLayout) -> Iterator[None]:
    """What comes after the layers sees [texts, 1, hidden] in place of [1, T, hidden].

    Pooler and head then work on a batch of texts, as they are: they read the first row of each,
    or take the mean over what is there.
    """
    mean = getattr(model.config, "classifier_pooling", "cls") == "mean"

    def pool(_module: object, _args: object, output: BaseModelOutput) -> BaseModelOutput:
        assert output.last_hidden_state is not None
        hidden_TD = output.last_hidden_state[0]
        rows = texts.means(hidden_TD) if mean else texts.firsts(hidden_TD)
        output.last_hidden_state = rows.unsqueeze(1)
        return output

    layers = getattr(model.base_model, "encoder", model.base_model)
    hook = layers.register_forward_hook(pool)
    try:
        yield
    finally:
        hook.remove()


def _probe(model: PreTrainedModel, max_tokens: int) -> list[Ids]:
    """Random texts: of equal and other lengths, past a sliding window, with a pad inside."""
    generator = torch.Generator().manual_seed(0)
    window = getattr(model.config, "sliding_window", None) or 0
    lengths = [min(length, max_tokens) for length in (1, 17, 48, 17, 2, 2 * window + 3, 48)]
    texts = [
        torch.randint(model.config.vocab_size, (length,), generator=generator).tolist()
        for length in lengths
    ]
    if model.config.pad_token_id is not None:
        texts[2][len(texts[2]) // 2] = model.config.pad_token_id
    return [tuple(text) for text in texts]


def _rows(scores: list[float]) -> Scores:
    return [[score] for score in scores]


def _chunks(indices: list[int], size: int) -> Iterator[list[int]]:
    rest = iter(indices)
    while chunk := list(islice(rest, size)):
        yield chunk


def _in_order(order: list[int], scores: list[float]) -> list[float]:
    """`scores[i]` is that of text `order[i]`."""
    return [score for _, score in sorted(zip(order, scores, strict=True))]

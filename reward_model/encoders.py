"""Encoders: reward models and rerankers with bidirectional attention, which score whole texts.

Texts share nothing and nothing is padded. Three forwards give the same scores, and the first that
passes its self-check is used: all texts in one flat row, where attention goes through
transformers' AttentionInterface; texts of equal length in one batch; each text alone.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from reward_model.attention.whole_texts import IMPLEMENTATION, FlatLayout
from reward_model.packing import Sequence
from reward_model.positions import positions_of
from reward_model.release.checkpoint import backbone_dtype
from reward_model.selfcheck import Scores, disagreement

_log = logging.getLogger(__name__)

# Encoders whose attention goes through AttentionInterface; each is tested for parity.
_FLAT = frozenset(
    {"bert", "roberta", "xlm-roberta", "camembert", "distilbert", "electra", "modernbert"}
)

# Encoders with (disentangled) attention of their own; each is tested for parity.
_BY_LENGTH = frozenset({"deberta", "deberta-v2"})

# Tokens in a batch of equal lengths: disentangled attention keeps [length, length] products.
_MAX_GROUP_TOKENS = 4096

Forward = Callable[[PreTrainedModel, list[Sequence]], Scores]
"""From whole texts to the raw scores of each, one a label, in the same order."""


def is_encoder(model: PreTrainedModel) -> bool:
    """Tell whether the model is one of the encoders that are tested for parity."""
    config = model.config
    known = config.model_type in _FLAT | _BY_LENGTH
    # BERT and its relatives can be configured as causal decoders.
    return known and not getattr(config, "is_decoder", False)


class EncoderForward:
    """An encoder's forward over batches of whole texts.

    Attributes:
        fallback_reason: why a forward slower than the architecture's own is used, or None.
    """

    def __init__(self, model: PreTrainedModel, max_tokens: int) -> None:
        self._model = model
        self._forward: Forward = score_alone
        self.fallback_reason: str | None = None
        probe, dtype = _probe(model, max_tokens), backbone_dtype(model)

        @torch.inference_mode()
        def probe_scores(forward: Forward) -> Scores:
            return forward(model, probe)

        plain = probe_scores(score_alone)
        if model.config.model_type in _FLAT:
            original = model.config._attn_implementation
            model.set_attn_implementation(IMPLEMENTATION)
            reason = disagreement("flat", plain, lambda: probe_scores(score_flat), dtype)
            if reason is None:
                self._forward = score_flat
            else:
                model.set_attn_implementation(original)
            self.fallback_reason = reason
        if self._forward is score_alone:
            reason = disagreement(
                "equal-length", plain, lambda: probe_scores(score_by_length), dtype
            )
            if reason is None:
                self._forward = score_by_length
            self.fallback_reason = reason or self.fallback_reason
        _log.info("an encoder: whole texts are scored by %s", self._forward.__name__)

    @torch.inference_mode()
    def score(self, batch: list[Sequence]) -> Scores:
        """Return one score a label for each text, whatever position is to be read.

        Raises:
            ValueError: several positions of a text are to be read; an encoder has one score.
        """
        if any(len(sequence.read_at) > 1 for sequence in batch):
            raise ValueError("an encoder has one score for a whole text, none for its steps")
        return self._forward(self._model, batch)


def score_flat(model: PreTrainedModel, batch: list[Sequence]) -> Scores:
    """Score all texts in one row."""
    # Shortest first, so that texts of equal length are neighbours and attend in one call.
    order = sorted(range(len(batch)), key=lambda index: len(batch[index].ids))
    texts = [batch[index] for index in order]
    ids = [token for text in texts for token in text.ids]
    positions = [position for text in texts for position in positions_of(model, text.ids)]
    layout = FlatLayout.of([len(text.ids) for text in texts])
    types = [kind for text in texts for kind in text.token_types or (0,) * len(text.ids)]
    with pooled_texts(model, layout):
        logits = model(
            input_ids=torch.tensor([ids], device=model.device),
            position_ids=torch.tensor([positions], device=model.device),
            layout=layout,
            **type_input(model, [types]),
        ).logits
    return _in_batch_order(order, logits.tolist())


def score_by_length(model: PreTrainedModel, batch: list[Sequence]) -> Scores:
    """Score texts of equal length together, which needs no padding."""
    by_length: dict[int, list[int]] = {}
    for index, text in enumerate(batch):
        by_length.setdefault(len(text.ids), []).append(index)
    order: list[int] = []
    scores: Scores = []
    for length, indices in by_length.items():
        size = max(1, _MAX_GROUP_TOKENS // length)
        for start in range(0, len(indices), size):
            group = indices[start : start + size]
            rows = torch.tensor([batch[index].ids for index in group], device=model.device)
            types = [batch[index].token_types or (0,) * length for index in group]
            order += group
            scores += model(input_ids=rows, **type_input(model, types)).logits.tolist()
    return _in_batch_order(order, scores)


def score_alone(model: PreTrainedModel, batch: list[Sequence]) -> Scores:
    """Score one text at a time by the plain forward, the reference of the other two."""
    scores: Scores = []
    for text in batch:
        ids = torch.tensor([text.ids], device=model.device)
        types = type_input(model, [text.token_types])
        scores.append(model(input_ids=ids, **types).logits[0].tolist())
    return scores


def type_input(model: PreTrainedModel, rows: Iterable[Iterable[int]]) -> dict[str, Tensor]:
    """The forward's argument for token types, where any differs from 0, the model's default.

    Models that know one segment, or none, are never fed with any.
    """
    rows = [tuple(row) for row in rows]
    if not any(map(any, rows)):
        return {}
    return {"token_type_ids": torch.tensor(rows, device=model.device)}


@contextmanager
def pooled_texts(model: PreTrainedModel, layout: FlatLayout) -> Iterator[None]:
    """Turn the layers' output [1, T, hidden] into [texts, 1, hidden] before the pooler sees it.

    Pooler and head then work unchanged: they take the first token of each text, which here is
    either that or the mean of the text's tokens.
    """
    mean = getattr(model.config, "classifier_pooling", "cls") == "mean"

    def pool(_module: object, _args: object, output: BaseModelOutput) -> BaseModelOutput:
        assert output.last_hidden_state is not None
        hidden_TD = output.last_hidden_state[0]
        rows = layout.means(hidden_TD) if mean else layout.first_tokens(hidden_TD)
        output.last_hidden_state = rows.unsqueeze(1)
        return output

    layers = getattr(model.base_model, "encoder", model.base_model)
    hook = layers.register_forward_hook(pool)
    try:
        yield
    finally:
        hook.remove()


def _probe(model: PreTrainedModel, max_tokens: int) -> list[Sequence]:
    """Random texts: of equal and other lengths, past a sliding window, one with a pad inside."""
    generator = torch.Generator().manual_seed(0)
    window = getattr(model.config, "sliding_window", None) or 0
    lengths = [min(length, max_tokens) for length in (1, 17, 48, 17, 2, 2 * window + 3, 48)]
    texts = [
        torch.randint(model.config.vocab_size, (length,), generator=generator).tolist()
        for length in lengths
    ]
    if model.config.pad_token_id is not None:
        texts[2][len(texts[2]) // 2] = model.config.pad_token_id
    # The second half of each text is a second segment, where the model knows one.
    second = int((getattr(model.config, "type_vocab_size", None) or 0) > 1)
    return [
        Sequence(
            tuple(text),
            (len(text) - 1,),
            tuple(second * (position >= len(text) // 2) for position in range(len(text))),
        )
        for text in texts
    ]


def _in_batch_order(order: list[int], scores: Scores) -> Scores:
    """Undo a reordering: `scores[i]` are those of text `order[i]`."""
    return [score for _, score in sorted(zip(order, scores, strict=True))]

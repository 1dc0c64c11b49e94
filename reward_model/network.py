"""Backbone + scalar head: load, packed forward, self-check against the plain forward.

Scores are the scalar head's raw output at the tokens asked for, in float32 whatever the backbone's
dtype. A decoder that cannot share prefixes exactly runs the plain forward and says why; an encoder
has nothing to share and scores whole texts.
"""

import logging
from typing import Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from reward_model.attention.tree import Tree, grow
from reward_model.attention.tree_attention import IMPLEMENTATION
from reward_model.cpu.llama_layers import fuse_layers
from reward_model.cpu.onednn_linear import compiled_rows, pack_linears
from reward_model.encoders import EncoderForward, is_encoder
from reward_model.packing import Packed, Sequence, filled, pack
from reward_model.positions import longest_text
from reward_model.release.checkpoint import backbone_dtype, load_model, load_tokenizer
from reward_model.release.release import Release
from reward_model.selfcheck import Scores, disagreement

_log = logging.getLogger(__name__)

_PACKABLE = frozenset(
    {
        *("llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"),
        *("gemma", "gemma2", "gemma3_text", "phi", "phi3", "gpt_neox", "gpt2", "olmo", "olmo2"),
        *("smollm3", "starcoder2"),
    }
)
"""Causal decoders whose attention goes through AttentionInterface; each is tested for parity."""

Prepared = Packed | list[Sequence]

_LAYERS = frozenset({"full_attention", "sliding_attention"})


class RewardNetwork:
    """A checkpoint ready to score. Not thread-safe: one thread at a time does model work.

    Attributes:
        tokenizer: the checkpoint's own, with its chat template.
        dtype: of the backbone.
        max_tokens: longest sequence it takes.
        shares_prefixes: whether a prefix that a batch has in common is computed once.
        fuses_layers: whether layers run as `reward_model.fused` on a CPU.
        reads_steps: whether several positions of a text can be read.
        fallback_reason: why a slower way than the architecture's own is taken; None when not.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_tokens: int
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.dtype = backbone_dtype(model)
        self.max_tokens = min(
            max_tokens, tokenizer.model_max_length, longest_text(model) or max_tokens
        )
        self._encoder = EncoderForward(model, self.max_tokens) if is_encoder(model) else None
        self.fuses_layers = False
        self.fallback_reason = (
            self._encoder.fallback_reason if self._encoder else self._try_packing()
        )
        self.reads_steps = self._encoder is None
        self.shares_prefixes = not (self._encoder or self.fallback_reason)
        self.fuses_layers = self.shares_prefixes and self._fuse()
        self._fills_up = self.fuses_layers or pack_linears(model.base_model)
        if self.fallback_reason:
            _log.warning("a slower forward, no prefix is shared: %s", self.fallback_reason)

    @classmethod
    def load(cls, release: Release, *, device: str, dtype: str | None = None) -> Self:
        """Load onto `device` in `dtype` (the release's own when None), the head in float32.

        Raises:
            ReleaseError: transformers cannot make a model or a tokenizer of the directory.
        """
        model = load_model(release, device=device, dtype=dtype or release.dtype)
        return cls(model, load_tokenizer(release), release.max_tokens)

    def score(self, batch: list[Sequence]) -> Scores:
        """Raw scores at each sequence's read positions, in the batch's order.

        Raises:
            ValueError: several positions of a text are asked of an encoder.
        """
        return self.compute(self.prepare(batch))

    def prepare(self, batch: list[Sequence]) -> Prepared:
        """What the model is not needed for; any thread may do it while a batch is computed."""
        if not self.shares_prefixes:
            return batch
        packed = pack(batch)
        return filled(packed, compiled_rows(len(packed.ids))) if self._fills_up else packed

    @torch.inference_mode()
    def compute(self, prepared: Prepared) -> Scores:
        """The rest of `score`."""
        if isinstance(prepared, Packed):
            return self._score_packed(prepared)
        return (self._encoder.score if self._encoder else self._score_plain)(prepared)

    def _score_packed(self, packed: Packed) -> Scores:
        tree = grow(packed, self.model.device)
        hidden = packed_hidden(self.model, tree)
        read = hidden if self.fuses_layers else hidden[tree.reads]
        flat = iter(scores_of(self.model, read).tolist())
        return [[next(flat) for _ in reads] for reads in packed.reads]

    def _score_plain(self, batch: list[Sequence]) -> Scores:
        """One text at a time: no padding and no company that could change a score."""
        return [
            [self._score_alone(sequence.ids[: position + 1]) for position in sequence.read_at]
            for sequence in batch
        ]

    def _score_alone(self, ids: tuple[int, ...]) -> float:
        row = torch.tensor([ids], device=self.model.device)
        return float(self.model(input_ids=row).logits[0, 0])

    @torch.inference_mode()
    def _try_packing(self) -> str | None:
        """Switch packed attention on if it is exact here; otherwise return the reason."""
        if reason := unpackable(self.model):
            return reason
        usual = self.model.config._attn_implementation
        reason = self._check_packing()
        if reason:
            self.model.set_attn_implementation(usual)
        return reason

    def _fuse(self) -> bool:
        tree = grow(pack(_probe(self.model, self.max_tokens)), self.model.device)
        return fuse_layers(self.model, lambda: packed_hidden(self.model, tree))

    def _check_packing(self) -> str | None:
        batch = _probe(self.model, self.max_tokens)
        plain = self._score_plain(batch)
        self.model.set_attn_implementation(IMPLEMENTATION)
        return disagreement("packed", plain, lambda: self._score_packed(pack(batch)), self.dtype)


def packed_hidden(model: PreTrainedModel, tree: Tree) -> Tensor:
    """Last hidden states [T, hidden] of a packed batch; the model attends by `IMPLEMENTATION`.

    Of a model whose last layer is fused, those of the tokens that are read: [len(reads), hidden].
    """
    output = model.base_model(
        input_ids=tree.ids_1T, position_ids=tree.positions_1T, use_cache=False, tree=tree
    )
    hidden_1TD: Tensor = output.last_hidden_state
    return hidden_1TD[0]


def scores_of(model: PreTrainedModel, rows: Tensor) -> Tensor:
    """Scalar head [len(rows)] in float32, of last hidden states [len(rows), hidden]."""
    head = model.score
    assert isinstance(head, nn.Linear)
    return head_scores(head, rows)


def head_scores(head: nn.Linear, rows: Tensor) -> Tensor:
    """The same of a head by itself, as training has it."""
    with torch.autocast(rows.device.type, enabled=False):
        return nn.functional.linear(rows.float(), head.weight.float()).squeeze(-1)


def unpackable(model: PreTrainedModel) -> str | None:
    """Why a model's texts cannot be packed; None when they can."""
    config = model.config
    if config.model_type not in _PACKABLE:
        return f"architecture {config.model_type!r} is not packed yet"
    if strange := sorted(set(getattr(config, "layer_types", None) or ()) - _LAYERS):
        return f"some layers are of type {strange[0]!r}"
    if getattr(config, "use_bidirectional_attention", False):
        return "attention is not causal"
    if _rope_depends_on_company(getattr(config, "rope_parameters", None)):
        return "rotary frequencies depend on the longest text of a batch"
    return None


def _rope_depends_on_company(rope: object) -> bool:
    """Dynamic NTK and LongRoPE look at the batch's last position; may be nested by layer type."""
    if not isinstance(rope, dict):
        return False
    kinds = {rope.get("rope_type")} & {"dynamic", "longrope"}
    return bool(kinds) or any(map(_rope_depends_on_company, rope.values()))


def _probe(model: PreTrainedModel, max_tokens: int) -> list[Sequence]:
    """Random texts that share prefixes, branch early and late, stand alone, and extend another."""
    generator = torch.Generator().manual_seed(0)
    length = min(48, max_tokens)
    pad = model.config.pad_token_id
    vocabulary = [token for token in range(model.config.vocab_size) if token != pad]

    def draw(count: int) -> tuple[int, ...]:
        picks = torch.randint(len(vocabulary), (count,), generator=generator)
        return tuple(vocabulary[pick] for pick in picks)

    trunk = draw(length)
    texts = [trunk, trunk[: length // 2], trunk[:-1] + draw(1), draw(length), draw(1)]
    texts += [trunk[: length // 4] + draw(length - length // 4) for _ in range(3)]
    return [Sequence(ids, (len(ids) - 1,)) for ids in texts if ids]

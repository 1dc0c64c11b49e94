"""A reward model ready to score: backbone, score head, packed forward and its self-check.

Scores are the head's raw output at the tokens to read, one for each label, in float32 whatever the
backbone's dtype. A decoder that cannot share prefixes exactly runs the plain forward, one text at a
time, and says why. An encoder has no prefixes to share and scores whole texts
(`reward_model.encoders`).
"""

import logging
import math
from dataclasses import dataclass
from itertools import islice
from typing import Self

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from reward_model.attention.tree import Tree
from reward_model.attention.tree_attention import IMPLEMENTATION
from reward_model.cpu.bf16x3_linear import unavailable, use_matrix_units
from reward_model.cpu.llama_layers import fuse_layers
from reward_model.cpu.onednn_linear import padded_rows, replace_linears
from reward_model.encoders import EncoderForward, is_encoder, score_alone
from reward_model.packing import Packed, Sequence, pack, padded, text_of
from reward_model.positions import max_positions, rope_depends_on_length
from reward_model.release.checkpoint import backbone_dtype, load_model, load_tokenizer
from reward_model.release.release import Release
from reward_model.selfcheck import Scores, disagreement

_log = logging.getLogger(__name__)

# Causal decoders whose attention goes through AttentionInterface; each is tested for parity.
_PACKABLE = frozenset(
    {
        *("llama", "mistral", "mixtral", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe"),
        *("gemma", "gemma2", "gemma3_text", "phi", "phi3", "gpt_neox", "gpt2", "olmo", "olmo2"),
        *("smollm3", "starcoder2"),
    }
)

# transformers' names for layers whose mask is the tree's, with or without a sliding window.
_PACKABLE_LAYERS = frozenset({"full_attention", "sliding_attention"})

Prepared = Tree | list[Sequence]
"""A batch as the forward takes it: packed, on its device, where prefixes are shared; otherwise as
it came."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A batch that the model computes, or has computed.

    Attributes:
        packed: the batch; None where it was not packed.
        scores: those of all texts' read positions, flat, on the host; on CUDA not there yet.
        copied: the moment at which they are; None where the model has computed already.
        rows: the scores of a batch that was not packed.
        labels: scores at each read position.
    """

    packed: Packed | None
    scores: Tensor | None = None
    copied: torch.cuda.Event | None = None
    rows: Scores | None = None
    labels: int = 1

    def wait(self) -> Scores:
        """Wait for the scores, and return them in the batch's order."""
        if self.packed is None:
            assert self.rows is not None
            return self.rows
        if self.copied:
            self.copied.synchronize()
        assert self.scores is not None
        scores = iter(self.scores.tolist())
        return [list(islice(scores, self.labels * len(reads))) for reads in self.packed.reads]


class RewardNetwork:
    """A checkpoint ready to score. Not thread-safe: one thread at a time does model work.

    Attributes:
        tokenizer: the checkpoint's own, with its chat template.
        dtype: of the backbone; the head is always float32.
        max_tokens: the longest sequence that it takes.
        labels: the number of scores at each position that is read; usually 1.
        shares_prefixes: whether a prefix that several sequences of a batch share is computed once.
        fuses_layers: whether layers run as `reward_model.cpu.llama_layers`.
        reads_steps: whether several positions of one text can be read, as scores of its steps.
        fallback_reason: why a forward slower than the architecture's own is used, or None.
        plain_products_reason: why float32 products do not run on a bfloat16 matrix unit
            (`reward_model.cpu.bf16x3_linear`), or None where they do.

    Args:
        matrix_units: whether they may, where that is faster and gives the same scores.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        max_tokens: int,
        *,
        matrix_units: bool = True,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.dtype = backbone_dtype(model)
        self.max_tokens = min(
            max_tokens, tokenizer.model_max_length, max_positions(model) or max_tokens
        )
        self.labels = model.config.num_labels or 1
        self.plain_products_reason = (
            self._matrix_units_unavailable() if matrix_units else "switched off"
        )
        # The plain forward runs now, because what follows replaces its parts.
        plain = None if self.plain_products_reason else self._probe_plainly()
        self._encoder: EncoderForward | None = None
        self.fuses_layers = False
        if is_encoder(model):
            self._encoder = EncoderForward(model, self.max_tokens)
            self.fallback_reason = self._encoder.fallback_reason
        else:
            self.fallback_reason = self._enable_packing()
        self.reads_steps = self._encoder is None
        self.shares_prefixes = self._encoder is None and self.fallback_reason is None
        if self.shares_prefixes:
            tree = Tree.of(pack(_probe(model, self.max_tokens)), model.device)
            self.fuses_layers = fuse_layers(model, lambda: packed_hidden(model, tree))
        # oneDNN, in fused layers or in linears alone, compiles a product for every number of rows,
        # so batches are padded to one of a few sizes.
        self._pads_rows = self.fuses_layers or replace_linears(model.base_model)
        if plain:
            self._try_matrix_units(plain)
        # On a processor that has a unit, it matters why the unit is not used.
        level = logging.WARNING if plain and self.plain_products_reason else logging.INFO
        _log.log(
            level,
            "float32 products run on %s",
            f"torch's or oneDNN's kernels: {self.plain_products_reason}"
            if self.plain_products_reason
            else "the processor's matrix unit, as three products of bfloat16 (bf16x3)",
        )
        if self.fallback_reason:
            _log.warning("a slower forward, no prefix is shared: %s", self.fallback_reason)

    @classmethod
    def load(
        cls,
        release: Release,
        *,
        device: str,
        dtype: str | None = None,
        matrix_units: bool = True,
    ) -> Self:
        """Load onto `device` in `dtype` (the release's own if None), the head in float32.

        Raises:
            ReleaseError: transformers cannot make a model or a tokenizer of the directory.
        """
        model = load_model(release, device=device, dtype=dtype or release.dtype)
        tokenizer = load_tokenizer(release)
        return cls(model, tokenizer, release.max_tokens, matrix_units=matrix_units)

    def score(self, batch: list[Sequence]) -> Scores:
        """Return raw scores at each sequence's read positions, in the batch's order.

        A model of several labels gives all of them at one position, then those at the next.

        Raises:
            ValueError: several positions of a text are to be read, and the model is an encoder.
        """
        return self.compute(self.prepare(batch))

    def prepare(self, batch: list[Sequence]) -> Prepared:
        """Pack the batch: the first half of `score`.

        It needs no model, so one thread may prepare a batch while another one computes.
        """
        if not self.shares_prefixes:
            return batch
        packed = pack(batch)
        if self._pads_rows:
            packed = padded(packed, padded_rows(len(packed.ids)))
        return Tree.of(packed, self.model.device)

    def compute(self, prepared: Prepared) -> Scores:
        """Run the model on a prepared batch: the second half of `score`."""
        launched = self.launch(prepared)
        return self.separate_non_finite(launched, launched.wait())

    @torch.inference_mode()
    def launch(self, prepared: Prepared) -> Launched:
        """Start the model on a prepared batch; `compute` is this, `wait` and the method below.

        On CUDA this returns when all work is queued, and nothing in it waits for the GPU. So
        another batch can be queued behind it before the scores of this one are there.
        """
        if isinstance(prepared, Tree):
            return self._launch_packed(prepared)
        rows = self._encoder.score(prepared) if self._encoder else self._score_plain(prepared)
        return Launched(None, rows=rows)

    def _launch_packed(self, tree: Tree) -> Launched:
        hidden = packed_hidden(self.model, tree)
        head = self.model.score
        assert isinstance(head, nn.Linear)
        # A fused last layer returns the tokens to read, and no others.
        read = hidden if self.fuses_layers else hidden[tree.reads]
        scores = head_scores(head, read).flatten()
        if scores.device.type != "cuda":
            return Launched(tree.packed, scores, labels=self.labels)
        # The copy is queued here: asked for later, it would wait for batches behind this one.
        on_host = torch.empty(scores.shape, dtype=scores.dtype, pin_memory=True)
        on_host.copy_(scores, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        return Launched(tree.packed, on_host, copied, labels=self.labels)

    def separate_non_finite(self, launched: Launched, rows: Scores) -> Scores:
        """Score again, in halves, the texts whose score is NaN or infinite.

        It computes, as `launch` does, and almost never has to. Some kernels give a masked token
        the weight 0, and 0 times NaN is NaN: there a NaN in one text makes the others of its batch
        NaN as well.
        """
        packed = launched.packed
        found = [index for index, row in enumerate(rows) if not all(map(math.isfinite, row))]
        # The text at fault is always among them, so one alone has its NaN from itself.
        if packed is None or len(found) < 2:
            return rows
        middle = len(found) // 2
        for half in (found[:middle], found[middle:]):
            prepared = self.prepare([text_of(packed, index) for index in half])
            for index, row in zip(half, self.compute(prepared), strict=True):
                rows[index] = row
        return rows

    def _score_plain(self, batch: list[Sequence]) -> Scores:
        """One text at a time, so that neither padding nor another text can change a score."""
        scores: Scores = []
        for sequence in batch:
            # transformers reads the last token, so each position to read ends a text of its own.
            ends = [position + 1 for position in sequence.read_at]
            texts = [
                Sequence(sequence.ids[:end], (end - 1,), sequence.token_types[:end]) for end in ends
            ]
            scores.append([score for row in score_alone(self.model, texts) for score in row])
        return scores

    def _matrix_units_unavailable(self) -> str | None:
        """Why products cannot run on a matrix unit; None if a trial decides."""
        if not is_encoder(self.model) and unpackable(self.model):
            return "texts are scored by the plain forward, one at a time"
        return unavailable(next(self.model.parameters()))

    @torch.inference_mode()
    def _probe_plainly(self) -> Scores:
        return self._score_plain(_probe(self.model, self.max_tokens))

    def _try_matrix_units(self, plain: Scores) -> None:
        """Let products run on a matrix unit, if that is faster and exact; note why otherwise.

        Args:
            plain: scores of the plain forward on the probe batch.
        """
        probe = _probe(self.model, self.max_tokens)
        self.plain_products_reason = use_matrix_units(
            self.model.base_model,
            lambda: disagreement("bf16x3", plain, lambda: self.score(probe), self.dtype),
        )
        # The unit's kernel takes any number of rows.
        self._pads_rows &= self.plain_products_reason is not None

    @torch.inference_mode()
    def _enable_packing(self) -> str | None:
        """Switch the model to packed attention if that is exact; otherwise return why it is not."""
        if reason := unpackable(self.model):
            return reason
        probe = _probe(self.model, self.max_tokens)
        plain = self._score_plain(probe)
        original = self.model.config._attn_implementation
        self.model.set_attn_implementation(IMPLEMENTATION)

        def score_packed() -> Scores:
            return self.launch(Tree.of(pack(probe), self.model.device)).wait()

        reason = disagreement("packed", plain, score_packed, self.dtype)
        if reason:
            self.model.set_attn_implementation(original)
        return reason


def packed_hidden(model: PreTrainedModel, tree: Tree) -> Tensor:
    """Last hidden states [T, hidden] of a packed batch; the model attends by `IMPLEMENTATION`.

    A model whose last layer is fused returns those of the tokens to read: [len(reads), hidden].
    """
    output = model.base_model(
        input_ids=tree.ids_1T, position_ids=tree.positions_1T, use_cache=False, tree=tree
    )
    hidden_1TD: Tensor = output.last_hidden_state
    return hidden_1TD[0]


def head_scores(head: nn.Linear, rows: Tensor) -> Tensor:
    """Scores [len(rows)] of hidden states [len(rows), hidden], in float32 also under autocast.

    A head of several labels gives [len(rows), labels].
    """
    with torch.autocast(rows.device.type, enabled=False):
        return nn.functional.linear(rows.float(), head.weight.float()).squeeze(-1)


def unpackable(model: PreTrainedModel) -> str | None:
    """Return why a model's texts cannot be packed; None if they can."""
    config = model.config
    if config.model_type not in _PACKABLE:
        return f"architecture {config.model_type!r} is not packed yet"
    layer_types = set(getattr(config, "layer_types", None) or ())
    if unknown := sorted(layer_types - _PACKABLE_LAYERS):
        return f"some layers are of type {unknown[0]!r}"
    if getattr(config, "use_bidirectional_attention", False):
        return "attention is not causal"
    if rope_depends_on_length(getattr(config, "rope_parameters", None)):
        return "rotary frequencies depend on the longest text of a batch"
    return None


def _probe(model: PreTrainedModel, max_tokens: int) -> list[Sequence]:
    """Random texts that share prefixes, branch early and late, stand alone, and extend another."""
    generator = torch.Generator().manual_seed(0)
    length = min(48, max_tokens)
    # transformers' plain forward skips pads at the end of a text, which would be another score.
    pad = model.config.pad_token_id
    vocabulary = [token for token in range(model.config.vocab_size) if token != pad]

    def draw(count: int) -> tuple[int, ...]:
        picks = torch.randint(len(vocabulary), (count,), generator=generator)
        return tuple(vocabulary[pick] for pick in picks)

    trunk = draw(length)
    texts = [trunk, trunk[: length // 2], trunk[:-1] + draw(1), draw(length), draw(1)]
    texts += [trunk[: length // 4] + draw(length - length // 4) for _ in range(3)]
    return [Sequence(ids, (len(ids) - 1,)) for ids in texts if ids]

"""Decoder layers of the Llama family on a CPU in float32, made of as few passes as there can be.

They compute what transformers' layers compute. Products carry the activation, the gate and the
residual with them (`reward_model.linear`), query, key and value are one product, norms' weights
are part of the product that follows, and the last layer's second half runs for the tokens that are
read and for no others.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from reward_model.attention import Tree, packed_tree_attention
from reward_model.linear import PackedLinear, runs_on_onednn

_log = logging.getLogger(__name__)

FAMILY = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Pre-norm layers with rotary positions and a gated MLP, all under the same names."""

_ROWS = 1024
"""Tokens for which an MLP's wide middle is held at a time: it should not leave the cache."""

_TOLERANCE = 1e-5
"""Largest difference from the usual layer, in units of the largest entry."""

_INPUTS = ("q_proj", "k_proj", "v_proj")


class FusedLayer(nn.Module):
    """In place of `LlamaDecoderLayer` and its like, under packed attention.

    Args:
        last: it answers `tree.reads` alone: hidden states [1, len(reads), hidden].
    """

    def __init__(self, layer: nn.Module, window: int | None, *, last: bool) -> None:
        super().__init__()
        attention, mlp = layer.get_submodule("self_attn"), layer.get_submodule("mlp")
        norm = layer.get_submodule("input_layernorm")
        mlp_norm = layer.get_submodule("post_attention_layernorm")
        self.last, self._window = last, window
        self._scale, self._width = (
            _number(attention, "scaling"),
            int(_number(attention, "head_dim")),
        )
        self._epsilon = _number(norm, "variance_epsilon")
        self._heads = [_linear(attention, name).out_features // self._width for name in _INPUTS]
        self._query_norm = getattr(attention, "q_norm", nn.Identity())
        self._key_norm = getattr(attention, "k_norm", nn.Identity())
        self._inputs = _stacked([_linear(attention, name) for name in _INPUTS], norm)
        self._output = PackedLinear.of(_linear(attention, "o_proj"))
        self._gate = _stacked([_linear(mlp, "gate_proj")], mlp_norm)
        self._up = _stacked([_linear(mlp, "up_proj")], mlp_norm)
        self._down = PackedLinear.of(_linear(mlp, "down_proj"))

    def forward(
        self,
        hidden_1TD: Tensor,
        *,
        position_embeddings: tuple[Tensor, Tensor],
        tree: Tree,
        **_: object,
    ) -> Tensor:
        hidden = hidden_1TD[0]
        attended = self._attend(self._normed(hidden), position_embeddings, tree)
        if self.last:
            hidden, attended = hidden[tree.reads], attended[tree.reads]
        hidden = self._output.combined(attended, "add", hidden)
        return torch.cat([self._mlp(rows) for rows in hidden.split(_ROWS)]).unsqueeze(0)

    def _attend(self, rows: Tensor, angles: tuple[Tensor, Tensor], tree: Tree) -> Tensor:
        heads = self._inputs(rows).unflatten(-1, (-1, self._width))
        query, key, value = heads.split(self._heads, dim=1)
        query = _rotated(self._query_norm(query), angles)
        key = _rotated(self._key_norm(key), angles)
        query, key, value = (part.transpose(0, 1).unsqueeze(0) for part in (query, key, value))
        attended, _ = packed_tree_attention(
            self,
            query,
            key,
            value,
            None,
            tree=tree,
            scaling=self._scale,
            sliding_window=self._window,
        )
        return attended[0].flatten(1)

    def _mlp(self, rows: Tensor) -> Tensor:
        normed = self._normed(rows)
        middle = self._up.combined(normed, "mul", self._gate.silu(normed))
        return self._down.combined(middle, "add", rows)

    def _normed(self, rows: Tensor) -> Tensor:
        """RMSNorm (arXiv 1910.07467, equation 4) but for its weight."""
        norm: Tensor = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
        return rows * norm.square_().div_(rows.shape[-1]).add_(self._epsilon).rsqrt_()


@torch.inference_mode()
def fuse_layers(model: PreTrainedModel, probe: Callable[[], object]) -> bool:
    """Replace the model's layers where that can be done and gives the same on a probe.

    One after the other, so that the weights are never held twice.

    Args:
        probe: runs a packed forward of some texts.

    Returns:
        Whether the last layer answers the tokens that are read, and no others.
    """
    if model.config.model_type not in FAMILY or not runs_on_onednn(next(model.parameters())):
        return False
    layers = model.base_model.get_submodule("layers")
    assert isinstance(layers, nn.ModuleList)
    for index, call in enumerate(_calls(layers, probe)):
        window = _window(layers[index], model)
        fused = FusedLayer(layers[index], window, last=index == len(layers) - 1)
        if not call.gives_the_same(fused):
            _log.warning("layer %d is not fused: it would not compute the same", index)
            return False
        layers[index] = fused
    return True


@dataclass(frozen=True, slots=True)
class _Call:
    """What a layer was given, and what it answered."""

    arguments: tuple[Tensor, ...]
    options: dict[str, object]
    answer: Tensor

    def gives_the_same(self, fused: FusedLayer) -> bool:
        tree = self.options["tree"]
        assert isinstance(tree, Tree)
        expected = self.answer[:, tree.reads] if fused.last else self.answer
        answer = fused(*self.arguments, **self.options)
        return torch.allclose(
            answer, expected, rtol=0, atol=_TOLERANCE * float(expected.abs().max())
        )


def _calls(layers: nn.ModuleList, probe: Callable[[], object]) -> list[_Call]:
    calls: list[_Call] = []

    def note(
        _: nn.Module, arguments: tuple[Tensor, ...], options: dict[str, object], answer: Tensor
    ) -> None:
        calls.append(_Call(arguments, options, answer))

    hooks = [layer.register_forward_hook(note, with_kwargs=True) for layer in layers]
    probe()
    for hook in hooks:
        hook.remove()
    return calls


def _window(layer: nn.Module, model: PreTrainedModel) -> int | None:
    """Qwen's attention knows the window of its layer; Mistral's looks it up, one for all layers."""
    of_all = getattr(model.config, "sliding_window", None)
    of_all = of_all if model.config.model_type == "mistral" else None
    window = getattr(layer.get_submodule("self_attn"), "sliding_window", of_all)
    assert window is None or isinstance(window, int)
    return window


def _stacked(linears: list[nn.Linear], norm: nn.Module) -> PackedLinear:
    """Products of the same rows as one; the rows are normed, but for the norm's weight."""
    gain = norm.get_parameter("weight")
    weight = torch.cat([linear.weight for linear in linears]) * gain
    biases: list[Tensor | None] = [linear.bias for linear in linears]
    known = [bias for bias in biases if bias is not None]
    assert len(known) in (0, len(linears))
    return PackedLinear(weight, torch.cat(known) if known else None)


def _rotated(heads_THD: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions (arXiv 2104.09864) in the half-split layout; cos and sin are [1, T, D]."""
    half = heads_THD.shape[-1] // 2
    cos, sin = (angle[0, :, None, :half] for angle in angles)
    left, right = heads_THD.split(half, dim=-1)
    rotated = torch.empty_like(heads_THD, memory_format=torch.contiguous_format)
    torch.mul(left, cos, out=rotated[..., :half]).addcmul_(right, sin, value=-1)
    torch.mul(right, cos, out=rotated[..., half:]).addcmul_(left, sin)
    return rotated


def _linear(parent: nn.Module, name: str) -> nn.Linear:
    linear = parent.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    return linear


def _number(module: nn.Module, name: str) -> float:
    value = getattr(module, name)
    assert isinstance(value, int | float)
    return value

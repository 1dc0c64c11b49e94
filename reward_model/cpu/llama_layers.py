"""Decoder layers of the Llama family on a CPU in float32, made of as few passes as there can be.

They compute what transformers' layers compute. Products carry the activation, the gate and the
residual with them (`reward_model.linear`), norms' weights are part of the product that follows, a
pair of numbers is turned to its position as one (`reward_model.heads`), and the last layer computes
keys and values of all tokens, and the rest for those that are read and for no others.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from reward_model.attention.sdpa import AttentionParams
from reward_model.attention.tree import Tree
from reward_model.attention.tree_attention import attend_reads, attend_tree
from reward_model.cpu.onednn_linear import PackedLinear, runs_on_onednn
from reward_model.cpu.qkv import Heads, rms_normed, stacked, turns_of

_log = logging.getLogger(__name__)

FAMILY = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Pre-norm layers with rotary positions and a gated MLP, all under the same names."""

_ROWS = 4096
"""Tokens for which an MLP's wide middle is held at a time: those of a batch, not of any text."""

_TOLERANCE = 1e-5
"""Largest difference from the usual layer, in units of the largest entry."""


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
        self.last = last
        self._how = AttentionParams(_number(attention, "scaling"), window, None)
        self._epsilon = _number(norm, "variance_epsilon")
        query, key, value = (_linear(attention, f"{name}_proj") for name in "qkv")
        query_norm, key_norm = (getattr(attention, f"{name}_norm", None) for name in "qk")
        width = int(_number(attention, "head_dim"))
        self._query = Heads([query], norm, query_norm, width=width, epsilon=self._epsilon)
        self._memory = Heads([key, value], norm, key_norm, width=width, epsilon=self._epsilon)
        self._output = PackedLinear.of(_linear(attention, "o_proj"))
        self._gate = PackedLinear(*stacked([_linear(mlp, "gate_proj")], mlp_norm))
        self._up = PackedLinear(*stacked([_linear(mlp, "up_proj")], mlp_norm))
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
        attended = self._attend(rms_normed(hidden, self._epsilon), position_embeddings, tree)
        if self.last:
            hidden = hidden[tree.reads]
        hidden = self._output.combined(attended, "add", hidden)
        parts = [self._mlp(rows) for rows in hidden.split(_ROWS)]
        return (torch.cat(parts) if parts[1:] else parts[0]).unsqueeze(0)

    def _attend(self, rows: Tensor, angles: tuple[Tensor, Tensor], tree: Tree) -> Tensor:
        turns = turns_of(angles)
        key, value = self._memory(rows, turns)
        if self.last:
            rows, turns = rows[tree.reads], turns[tree.reads]
        query, _ = self._query(rows, turns)
        attend = attend_reads if self.last else attend_tree
        return attend(query, key, value, tree, self._how)[0].transpose(0, 1).flatten(1)

    def _mlp(self, rows: Tensor) -> Tensor:
        normed = rms_normed(rows, self._epsilon)
        middle = self._up.combined(normed, "mul", self._gate.silu(normed))
        return self._down.combined(middle, "add", rows)


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


def _linear(parent: nn.Module, name: str) -> nn.Linear:
    linear = parent.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    return linear


def _number(module: nn.Module, name: str) -> float:
    value = getattr(module, name)
    assert isinstance(value, int | float)
    return value

"""Decoder layers of the Llama family on a CPU in float32, in as few passes over memory as possible.

An optimisation: they compute what transformers' layers compute. Products carry the activation, the
gate and the residual with them (`onednn_linear`), the norms' weights are multiplied into the
products that follow, rotary positions are complex products (`qkv`), and the last layer computes
keys and values for all tokens but everything else only for the tokens to read.
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
from reward_model.cpu.onednn_linear import OneDnnLinear, runs_on_onednn
from reward_model.cpu.qkv import RotaryProjection, rms_normalized, rotation_of, stacked_weights

_log = logging.getLogger(__name__)

FAMILY = frozenset({"llama", "mistral", "qwen2", "qwen3"})
"""Pre-norm layers with rotary positions and a gated MLP, whose modules have the same names."""

# The MLP runs in chunks of this many tokens, which bounds its intermediate activation.
_MLP_ROWS = 4096

# Largest accepted difference from transformers' layer, relative to its largest entry.
_TOLERANCE = 1e-5


class FusedLlamaLayer(nn.Module):
    """Replaces `LlamaDecoderLayer` and its relatives under packed attention.

    Args:
        layer: the layer of transformers, whose weights are copied.
        window: its sliding window; None without one.
        last: return the hidden states of `tree.reads` only: [1, len(reads), hidden].
    """

    def __init__(self, layer: nn.Module, window: int | None, *, last: bool) -> None:
        super().__init__()
        attention, mlp = layer.get_submodule("self_attn"), layer.get_submodule("mlp")
        norm = layer.get_submodule("input_layernorm")
        mlp_norm = layer.get_submodule("post_attention_layernorm")
        self.last = last
        self._params = AttentionParams(_number(attention, "scaling"), window, None)
        self._epsilon = _number(norm, "variance_epsilon")
        query, key, value = (_linear(attention, f"{name}_proj") for name in "qkv")
        query_norm, key_norm = (getattr(attention, f"{name}_norm", None) for name in "qk")
        width, epsilon = int(_number(attention, "head_dim")), self._epsilon
        self._query = RotaryProjection([query], norm, query_norm, width=width, epsilon=epsilon)
        self._key_value = RotaryProjection(
            [key, value], norm, key_norm, width=width, epsilon=epsilon
        )
        self._output = OneDnnLinear.of(_linear(attention, "o_proj"))
        self._gate = OneDnnLinear(*stacked_weights([_linear(mlp, "gate_proj")], mlp_norm))
        self._up = OneDnnLinear(*stacked_weights([_linear(mlp, "up_proj")], mlp_norm))
        self._down = OneDnnLinear.of(_linear(mlp, "down_proj"))

    def forward(
        self,
        hidden_1TD: Tensor,
        *,
        position_embeddings: tuple[Tensor, Tensor],
        tree: Tree,
        **_: object,
    ) -> Tensor:
        """Hidden states [1, T, hidden] -> the same shape, or [1, len(reads), hidden] if `last`."""
        hidden = hidden_1TD[0]
        # Attention and MLP are methods of their own so that what each holds is freed when it ends.
        attended = self._attend(rms_normalized(hidden, self._epsilon), position_embeddings, tree)
        if self.last:
            hidden = hidden[tree.reads]
        hidden = self._output.combined(attended, "add", hidden)
        chunks = [self._mlp(chunk) for chunk in hidden.split(_MLP_ROWS)]
        return (torch.cat(chunks) if len(chunks) > 1 else chunks[0]).unsqueeze(0)

    def _attend(self, rows: Tensor, angles: tuple[Tensor, Tensor], tree: Tree) -> Tensor:
        """Normalised rows [T, hidden] -> attention output [T or len(reads), H * D]."""
        rotation = rotation_of(angles)
        key, value = self._key_value(rows, rotation)
        if self.last:
            # All tokens are seen, but only those to read have to see anything.
            rows, rotation = rows[tree.reads], rotation[tree.reads]
        query, _ = self._query(rows, rotation)
        attend = attend_reads if self.last else attend_tree
        return attend(query, key, value, tree, self._params)[0].transpose(0, 1).flatten(1)

    def _mlp(self, rows: Tensor) -> Tensor:
        normalized = rms_normalized(rows, self._epsilon)
        gated = self._up.combined(normalized, "mul", self._gate.silu(normalized))
        return self._down.combined(gated, "add", rows)


@dataclass(frozen=True, slots=True)
class _LayerCall:
    """Arguments of a layer's forward on the probe, and its output."""

    arguments: tuple[Tensor, ...]
    options: dict[str, object]
    output: Tensor

    def agrees(self, fused: FusedLlamaLayer) -> bool:
        """Whether a fused layer gives the same output."""
        tree = self.options["tree"]
        assert isinstance(tree, Tree)
        expected = self.output[:, tree.reads] if fused.last else self.output
        tolerance = _TOLERANCE * float(expected.abs().max())
        output = fused(*self.arguments, **self.options)
        return torch.allclose(output, expected, rtol=0, atol=tolerance)


@torch.inference_mode()
def fuse_layers(model: PreTrainedModel, probe: Callable[[], object]) -> bool:
    """Replace the model's layers by fused ones that give the same on a probe.

    A layer that would not give the same stays as it is, and so do all that follow.

    Args:
        probe: runs a packed forward of some texts.

    Returns:
        Whether all were replaced, so that the last one returns only the tokens to read.
    """
    if model.config.model_type not in FAMILY or not runs_on_onednn(next(model.parameters())):
        return False
    layers = model.base_model.get_submodule("layers")
    assert isinstance(layers, nn.ModuleList)
    calls: list[_LayerCall] = []

    def record(
        _: nn.Module, arguments: tuple[Tensor, ...], options: dict[str, object], output: Tensor
    ) -> None:
        calls.append(_LayerCall(arguments, options, output))

    hooks = [layer.register_forward_hook(record, with_kwargs=True) for layer in layers]
    probe()
    for hook in hooks:
        hook.remove()
    # Qwen's attention knows the window of its own layer; Mistral has one in its config for all.
    shared = getattr(model.config, "sliding_window", None)
    shared = shared if model.config.model_type == "mistral" else None
    # Each layer is replaced before the next is copied, so the weights are never in memory twice.
    for index, call in enumerate(calls):
        window = getattr(layers[index].get_submodule("self_attn"), "sliding_window", shared)
        assert window is None or isinstance(window, int)
        fused = FusedLlamaLayer(layers[index], window, last=index == len(layers) - 1)
        if not call.agrees(fused):
            _log.warning("layer %d is not fused: it would not compute the same", index)
            return False
        layers[index] = fused
    return True


def _linear(parent: nn.Module, name: str) -> nn.Linear:
    linear = parent.get_submodule(name)
    assert isinstance(linear, nn.Linear)
    return linear


def _number(module: nn.Module, name: str) -> float:
    value = getattr(module, name)
    assert isinstance(value, int | float)
    return value

"""FLOPs and bytes of a training run: pure arithmetic, each formula with its source."""

import re
from dataclasses import dataclass

from trainer.planning.run import LoraSpec, TrainingRun
from trainer.planning.shape import Shape

# Positions whose logits are in memory at a time: the largest chunk of the language-model loss.
_CHUNK = 1024


@dataclass(frozen=True)
class TokenCounts:
    """Token counts of a run or a step.

    Attributes:
        computed: tokens that go through the layers; those of a shared prompt count once.
        predicted: those of them whose next token the language-model loss predicts.
        seen: pairs of a computed token and a token that it attends to.
    """

    computed: float
    predicted: float
    seen: float


def training_flops(shape: Shape, tokens: TokenCounts, *, gradient_checkpointing: bool) -> float:
    """FLOPs of forward and backward: 6 N D plus attention (arXiv 2001.08361, section 2.1).

    N counts the weights of the layers' matrices and D the computed tokens. The output embedding
    counts only for predicted tokens, the input embedding is a lookup. Gradient checkpointing costs
    one more forward pass through the layers.
    """
    # A backward pass costs two forward passes: gradients of the inputs and of the weights.
    layers = forward_flops(shape, tokens.computed, tokens.seen)
    output = 2 * shape.embedding * tokens.predicted
    return 3 * (layers + output) + (layers if gradient_checkpointing else 0.0)


def forward_flops(shape: Shape, computed: float, seen: float) -> float:
    """FLOPs of one forward pass: 2 N D, and 4 x layers x attention width x `seen`.

    The 4 are a multiply and an add for q.k, and for the weighted sum of v (arXiv 2204.02311,
    appendix B).
    """
    return 2 * shape.matrices * computed + 4 * shape.layers * shape.attention_width * seen


@dataclass(frozen=True)
class Memory:
    """Bytes on one device at the worst moment of a step."""

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations


def training_memory(shape: Shape, run: TrainingRun, step_tokens: float, devices: int) -> Memory:
    """Bytes on each device: 16 a trained parameter with AdamW (arXiv 1910.02054), sharded over all.

    Weights, gradients and optimizer states are in float32. The activations are those of one
    micro-batch; its products are in bfloat16 (autocast), its residual stream in float32.
    """
    parameters = shape.parameters + shape.hidden
    # Without a language-model loss an output embedding of its own is never loaded.
    if not run.weights.lm and not shape.tied:
        parameters -= shape.embedding
    # Frozen weights under LoRA need neither gradients nor optimizer states.
    trained = float(adapters(shape, run.lora)) if run.lora else float(parameters)
    stored = 0.5 if run.lora and run.lora.load_in_4bit else 4.0
    frozen = parameters * stored if run.lora else 0.0
    tokens = step_tokens / devices / run.gradient_accumulation_steps
    layer = tokens * layer_activations(shape)
    # With gradient checkpointing only each layer's input is kept, in float32, and one layer at a
    # time is computed again.
    kept = layer * shape.layers
    if run.gradient_checkpointing:
        kept = layer + tokens * shape.layers * 4 * shape.hidden
    # Logits and their gradient, in float32.
    logits = 2 * 4 * shape.vocabulary * min(_CHUNK, tokens) if run.weights.lm else 0.0
    return Memory(
        weights=(frozen + 4 * trained) / devices,
        gradients=4 * trained / devices,
        optimizer=optimizer_bytes(shape, run, trained) / devices,
        activations=kept + logits,
    )


def optimizer_bytes(shape: Shape, run: TrainingRun, trained: float) -> float:
    """Bytes of float32 states: AdamW keeps two a weight, Muon one for the layers' matrices."""
    if run.lora or run.optimizer == "adamw":
        return 8 * trained
    return 4 * shape.matrices + 8 * (trained - shape.matrices)


def adapters(shape: Shape, lora: LoraSpec) -> int:
    """LoRA weights, rank x (inputs + outputs) of each layer with an adapter, and the score head's.

    Layers have the names of a Llama, and are chosen as in PEFT: by a list of names, or by a pattern
    of the whole path.
    """
    # The width on the other side of each layer; one side is always the hidden state.
    widths = {
        "self_attn.q_proj": shape.attention_width,
        "self_attn.k_proj": shape.key_value_width,
        "self_attn.v_proj": shape.key_value_width,
        "self_attn.o_proj": shape.attention_width,
        **dict.fromkeys(("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"), shape.feed_forward),
    }
    paths = {
        f"model.layers.{n}.{name}": width
        for n in range(shape.layers)
        for name, width in widths.items()
    }
    targets = lora.target_modules
    if targets == "all-linear":
        chosen = list(paths.values())
    elif isinstance(targets, str):
        chosen = [width for path, width in paths.items() if re.fullmatch(targets, path)]
    else:
        ends = tuple(f".{name}" for name in targets)
        chosen = [width for path, width in paths.items() if path.endswith(ends)]
    # Targets of an architecture with other names match none here: rather plan too much memory.
    chosen = chosen or list(paths.values())
    return lora.r * sum(shape.hidden + width for width in chosen) + shape.hidden


def layer_activations(shape: Shape) -> int:
    """Bytes of one layer's activations for one token (arXiv 2205.05198, section 4.1).

    The inputs of all products are in bfloat16, those of both norms in float32. The feed-forward is
    gated, and attention weights are never stored, as in FlashAttention.
    """
    products = 2 * shape.hidden + 2 * shape.attention_width + 2 * shape.key_value_width
    return 2 * (products + 4 * shape.feed_forward) + 2 * 4 * shape.hidden


def checkpoint_bytes(shape: Shape, run: TrainingRun | None = None) -> float:
    """Bytes on disk: bfloat16 weights, and a run's checkpoints with float32 weights and states."""
    released = 2.0 * (shape.parameters + shape.hidden)
    if run is None or not run.save_steps:
        return released
    trained = adapters(shape, run.lora) if run.lora else shape.parameters
    return released + run.save_total_limit * (4 * trained + optimizer_bytes(shape, run, trained))

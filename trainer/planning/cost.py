"""FLOPs, bytes and seconds of a training run: pure arithmetic, each with where it is from."""

from dataclasses import dataclass

from trainer.planning.run import TrainingRun
from trainer.planning.shape import Shape

_CHUNK = 1024
"""Positions whose logits are there at a time, as large as the chunks of the loss may be."""


@dataclass(frozen=True)
class TokenCounts:
    """Of a run or a step.

    Attributes:
        computed: tokens that go through the layers; a shared prompt is one.
        predicted: those of them whose next token the language-model loss predicts.
        seen: pairs of a computed token and one that it attends to.
    """

    computed: float
    predicted: float
    seen: float


def training_flops(shape: Shape, tokens: TokenCounts, *, gradient_checkpointing: bool) -> float:
    """6 N for each token and twice the attention's products, forward and backward (2001.08361).

    N are the layers' matrices: an embedding is looked up, and multiplied with only where the loss
    predicts. Activations that are recomputed cost one more forward through the layers.
    """
    layers = forward_flops(shape, tokens.computed, tokens.seen)
    output = 2 * shape.embedding * tokens.predicted
    return 3 * (layers + output) + (layers if gradient_checkpointing else 0.0)


def forward_flops(shape: Shape, computed: float, seen: float) -> float:
    """2 for each weight and token; 4 for each attention width, token and token that it sees."""
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
    """LossTerms, gradients and states in float32, sharded over all devices; activations of one
    micro-batch, whose products are in bfloat16 (autocast) and whose residual stream is not.
    """
    parameters = shape.parameters + shape.hidden
    if not run.weights.lm and not shape.tied:
        parameters -= shape.embedding
    trained = float(adapters(shape, run.lora.r)) if run.lora else float(parameters)
    stored = 0.5 if run.lora and run.lora.load_in_4bit else 4.0
    frozen = parameters * stored if run.lora else 0.0
    return Memory(
        weights=(frozen + 4 * trained) / devices,
        gradients=4 * trained / devices,
        optimizer=optimizer_bytes(shape, run, trained) / devices,
        activations=_activations(
            shape, run, step_tokens / devices / run.gradient_accumulation_steps
        ),
    )


def optimizer_bytes(shape: Shape, run: TrainingRun, trained: float) -> float:
    """AdamW keeps two moments of each weight, Muon one of the layers' matrices."""
    if run.lora or run.optimizer == "adamw":
        return 8 * trained
    return 4 * shape.matrices + 8 * (trained - shape.matrices)


def adapters(shape: Shape, rank: int) -> int:
    """LossTerms of adapters on all linear layers, and of the score head."""
    attention = 2 * (shape.hidden + shape.attention_width)
    attention += 2 * (shape.hidden + shape.key_value_width)
    return (
        shape.layers * rank * (attention + 3 * (shape.hidden + shape.feed_forward)) + shape.hidden
    )


def _activations(shape: Shape, run: TrainingRun, tokens: float) -> float:
    """What backward needs of each layer, or its input alone and one whole layer at a time."""
    layer = tokens * layer_activations(shape)
    kept = (
        layer + tokens * shape.layers * 4 * shape.hidden
        if run.gradient_checkpointing
        else layer * shape.layers
    )
    logits = 2 * 4 * shape.vocabulary * min(_CHUNK, tokens) if run.weights.lm else 0.0
    return kept + logits


def layer_activations(shape: Shape) -> int:
    """Bytes a token: the inputs of all products in bfloat16, of both norms in float32.

    As in arXiv 2205.05198, section 4.1, for gated layers, and with attention's weights never kept.
    """
    products = 2 * shape.hidden + 2 * shape.attention_width + 2 * shape.key_value_width
    return 2 * (products + 4 * shape.feed_forward) + 2 * 4 * shape.hidden


def checkpoint_bytes(shape: Shape, run: TrainingRun | None = None) -> float:
    """LossTerms in bfloat16; with a run, also what it keeps to resume from: weights and states."""
    released = 2.0 * (shape.parameters + shape.hidden)
    if run is None or not run.save_steps:
        return released
    trained = adapters(shape, run.lora.r) if run.lora else shape.parameters
    return released + run.save_total_limit * (4 * trained + optimizer_bytes(shape, run, trained))

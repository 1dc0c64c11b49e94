"""What training on these rows will cost on this machine: memory of a step, and seconds."""

from dataclasses import dataclass
from functools import cached_property

from trainer.autoconfig.base import Base
from trainer.autoconfig.data import Data
from trainer.autoconfig.machine import Machine
from trainer.planning.cost import TokenCounts, forward_flops, training_flops, training_memory
from trainer.planning.lengths import Lengths
from trainer.planning.run import TrainingRun

# With adapters no gradients of the frozen weights are computed: two of six FLOPs a weight.
_ADAPTERS_COST = 2 / 3

# What a step of SmolLM2-135M was seen to take on a CPU (1.06 MB for a token), of what the formula
# says: sums in float32, rotated queries, and what an allocator keeps.
_ACTIVATIONS_SEEN = 1.7

# Autocast keeps a copy of the weights in bfloat16, and libraries with their buffers take the rest.
_COPY_BYTES = 2
_LIBRARIES_BYTES = 0.8e9


@dataclass(frozen=True)
class Workload:
    """Rows of a data set, a base that learns them, and a machine."""

    base: Base
    data: Data
    machine: Machine

    @cached_property
    def lengths(self) -> Lengths:
        return self.data.lengths

    @cached_property
    def longest_row(self) -> float:
        """Computed tokens of the longest sampled row: its prompt once, and all its answers."""
        return max(
            row.prompt_tokens
            + sum(
                text.tokens - row.prompt_tokens
                for text in (row.chosen, *(rival.text for rival in row.rejected))
            )
            for row in self.data.encoded
        )

    def memory(self, run: TrainingRun) -> float:
        """Bytes of a step whose largest micro-batch has the longest of the sampled rows."""
        micro = run.prompts_per_step // run.gradient_accumulation_steps
        tokens = self.longest_row + (micro - 1) * self.lengths.computed()
        tokens *= run.gradient_accumulation_steps  # which the formula divides it by
        parts = training_memory(self.base.shape, run, tokens, devices=1)
        held = parts.total + (_ACTIVATIONS_SEEN - 1) * parts.activations
        return held + _COPY_BYTES * self.base.parameters + _LIBRARIES_BYTES

    def step_seconds(self, run: TrainingRun) -> float:
        """Seconds of an optimizer step."""
        prompts = run.prompts_per_step
        tokens = TokenCounts(prompts * self.lengths.computed(), 0.0, prompts * self.lengths.seen())
        flops = training_flops(
            self.base.shape, tokens, gradient_checkpointing=run.gradient_checkpointing
        )
        return flops * (_ADAPTERS_COST if run.lora else 1.0) / self.machine.flops

    @cached_property
    def score_seconds(self) -> float:
        """Seconds in which one row is scored."""
        computed, seen = self.lengths.computed(), self.lengths.seen()
        return forward_flops(self.base.shape, computed, seen) / self.machine.flops

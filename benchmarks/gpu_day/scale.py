"""How large everything is: as on a GPU of a data centre, or toys for a dry run on two CPU cores."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """A network's shape, named after its number of parameters."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    key_heads: int


@dataclass(frozen=True)
class Scale:
    """The sizes that all parts measure with.

    Attributes:
        vocabulary: rows of the embedding; more than the tokenizer has is fine.
        batch_tokens: computed tokens in a batch of the packed forward, each measured.
        padded: texts in a padded batch, each measured; the better one counts.
        prompt, candidates, candidate: tokens of a prompt, candidates of it, tokens of each.
        requests: prompts that are scored in a turn.
        turns: of each arm; the median counts.
        product: rows, columns and depth of the matrix product that is taken for the ceiling.
        training_pairs: of a step.
    """

    device: str
    dtype: str
    sizes: tuple[Size, ...]
    vocabulary: int
    batch_tokens: tuple[int, ...]
    padded: tuple[int, ...]
    prompt: int
    candidates: int
    candidate: int
    requests: int
    turns: int
    product: int
    training_pairs: int

    def size(self, name: str) -> Size:
        return next(size for size in self.sizes if size.name == name)


# The shapes of Qwen2.5, whose checkpoints are what people serve in these sizes.
FULL = Scale(
    device="cuda",
    dtype="bfloat16",
    sizes=(
        Size("0.5B", 896, 4864, 24, 14, 2),
        Size("1.5B", 1536, 8960, 28, 12, 2),
        Size("7B", 3584, 18_944, 28, 28, 4),
    ),
    vocabulary=151_936,
    batch_tokens=(8192, 32_768),
    padded=(16, 64),
    prompt=600,
    candidates=16,
    candidate=150,
    requests=16,
    turns=5,
    product=8192,
    training_pairs=16,
)

TOY = Scale(
    device="cpu",
    dtype="float32",
    sizes=tuple(Size(size.name, 64, 128, 2, 4, 2) for size in FULL.sizes),
    vocabulary=8192,
    batch_tokens=(128, 256),
    padded=(4,),
    prompt=40,
    candidates=4,
    candidate=10,
    requests=2,
    turns=2,
    product=256,
    training_pairs=4,
)

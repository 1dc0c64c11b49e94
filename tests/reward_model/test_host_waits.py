"""Nothing between a packed batch and its scores makes the host wait for a GPU: seen on a CPU.

On a GPU an operation whose result the host must know, such as `.item()`, stops the queueing of work
until all before it is computed.
"""

from collections.abc import Sequence as Items
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AttentionInterface, AutoModelForSequenceClassification

from reward_model.attention.flex import block_mask
from reward_model.attention.tree import Tree, bucketed
from reward_model.network import packed_hidden
from reward_model.packing import Sequence, pack
from tests.checkpoints import make_checkpoint
from tests.reward_model.test_architectures import ARCHITECTURES

_aten = torch.ops.aten
WAITING = {
    *(_aten._local_scalar_dense, _aten.item, _aten.is_nonzero, _aten.equal, _aten.nonzero),
    *(
        _aten.masked_select,
        _aten._unique2,
        _aten.unique_consecutive,
        _aten.repeat_interleave.Tensor,
    ),
}

# Which expert gets which token is known on the GPU alone, and transformers asks. GPT-2 looks,
# before its first layer, whether its ids contain padding, to warn of it.
DENSE = [n for n in ARCHITECTURES if "moe" not in n and n not in ("mixtral", "gpt2")]


class Waits(TorchDispatchMode):
    """Notes every operation for which the host would wait."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(
        self,
        func: Any,
        types: Items[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        # To index by a mask, the host must know how many of its elements are true.
        indices = args[1] if func.overloadpacket in (_aten.index, _aten.index_put_) else ()
        masked = any(i is not None and i.dtype == torch.bool for i in indices)
        if masked or func.overloadpacket in WAITING or func in WAITING:
            self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def no_attention(
    _module: torch.nn.Module, query: torch.Tensor, *_: object, **__: object
) -> tuple[torch.Tensor, None]:
    return query.transpose(1, 2).contiguous(), None


AttentionInterface.register("no_attention", no_attention)


@pytest.fixture
def tree() -> Tree:
    texts = [tuple(range(7, 40)), (*range(7, 20), 9), (50, 51)]
    packed = pack([Sequence(text, (len(text) - 1,)) for text in texts])
    return Tree.of(bucketed(packed), torch.device("cpu"))


def test_what_waits_is_found() -> None:
    with Waits() as waits:
        torch.ones(1).item()
        torch.ones(3)[torch.tensor([True, False, True])]
    assert len(waits.found) == 2


@pytest.mark.parametrize("architecture", DENSE)
def test_no_layer_waits(tmp_path: Path, tree: Tree, architecture: str) -> None:
    path = make_checkpoint(tmp_path, architecture.split()[0], shape=ARCHITECTURES[architecture])
    model = AutoModelForSequenceClassification.from_pretrained(path)
    model.set_attn_implementation("no_attention")
    with torch.inference_mode(), Waits() as waits:
        packed_hidden(model, tree)[tree.reads]
    assert not waits.found


@pytest.mark.parametrize("window", [None, 8])
def test_the_block_mask_does_not_wait(tree: Tree, window: int | None) -> None:
    with torch.inference_mode(), Waits() as waits:
        block_mask(tree.subtree_end, tree.positions_1T[0], window)
    assert not waits.found

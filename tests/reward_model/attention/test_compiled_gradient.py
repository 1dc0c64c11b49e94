"""The compiled kernel of gradients, for every kind of processor that this one can be."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_model.attention import compiled
from reward_model.attention import compiled_gradient as module
from reward_model.attention.compiled import TreeKernel, TreeMask, tree_kernel
from reward_model.attention.compiled_gradient import (
    GradientKernel,
    TrainingKernels,
    training_kernels,
)
from reward_model.attention.sdpa import AttentionParams, SdpaPlan, attend_sdpa
from reward_model.packing import Packed
from tests.reward_model.attention.test_compiled import (
    KERNELS,
    PLAIN,
    random_heads,
    shapes,
    tree_of,
)

kernels = [
    pytest.param(TrainingKernels(TreeKernel(forward), GradientKernel(backward)), id=backward.stem)
    for forward, backward in zip(
        compiled.compiled_libraries(),
        compiled.compiled_libraries("tree_gradient.c"),
        strict=False,
    )
]

Heads = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def gradients(output: torch.Tensor, inputs: Heads, real: int) -> list[torch.Tensor]:
    """By an output gradient that is random at the first tokens, and 0 at padding."""
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    weights[:, :, real:] = 0
    return list(torch.autograd.grad((output * weights).sum(), inputs))


def heads_of(packed: Packed, heads: int, key_heads: int, width: int) -> Heads:
    query, key, value = random_heads(packed, heads, key_heads, width)
    return query.requires_grad_(), key.requires_grad_(), value.requires_grad_()


@pytest.mark.parametrize("kernel", kernels)
@given(
    shapes=shapes,
    fill=st.integers(0, 20),
    heads=st.sampled_from([(1, 1), (4, 2), (3, 1), (6, 2), (5, 5)]),
    width=st.sampled_from([16, 24, 64, 256]),
    params=st.builds(
        AttentionParams,
        st.none() | st.floats(0.01, 1),
        st.none() | st.integers(1, 300),
        st.none() | st.floats(0.1, 50),
    ),
)
@settings(max_examples=60)
def test_gradients_are_torch_s(
    kernel: TrainingKernels,
    shapes: list[tuple[int, int]],
    fill: int,
    heads: tuple[int, int],
    width: int,
    params: AttentionParams,
) -> None:
    packed = tree_of(shapes, fill)
    real = len(packed.ids) - fill
    inputs = heads_of(packed, *heads, width)
    attended = kernel.attend(*inputs, TreeMask.of(packed), params)
    reference = attend_sdpa(*inputs, SdpaPlan.of(packed.segments), params)
    torch.testing.assert_close(attended[:, :, :real], reference[:, :, :real], atol=1e-4, rtol=1e-4)
    found = gradients(attended, inputs, real)
    wanted = gradients(reference, inputs, real)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4 * float(1 + other.abs().max()), rtol=1e-3)


@pytest.mark.parametrize("kernel", kernels)
def test_gradients_do_not_depend_on_threads(kernel: TrainingKernels) -> None:
    """Not by a bit."""
    packed = tree_of([(120, 60), (120, 70), (40, 200)])
    inputs = heads_of(packed, 6, 2, 64)
    threads = torch.get_num_threads()
    found = []
    for count in (1, 2, 5):
        torch.set_num_threads(count)
        attended = kernel.attend(*inputs, TreeMask.of(packed), PLAIN)
        found.append(gradients(attended, inputs, len(packed.ids)))
    torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(*pair) for pair in zip(found[0], other, strict=True))


@pytest.mark.parametrize("kernel", kernels)
def test_a_gradient_may_have_any_strides(kernel: TrainingKernels) -> None:
    """`sum` gives one whose rows are all the same number in memory."""
    packed = tree_of([(30, 20), (30, 40)])
    inputs = heads_of(packed, 4, 2, 16)
    attended = kernel.attend(*inputs, TreeMask.of(packed), PLAIN)
    reference = attend_sdpa(*inputs, SdpaPlan.of(packed.segments), PLAIN)
    found = torch.autograd.grad(attended.sum(), inputs)
    wanted = torch.autograd.grad(reference.sum(), inputs)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kernel", kernels)
@pytest.mark.parametrize("factor", [1e-6, 30.0])
def test_weights_may_be_all_alike_or_all_on_one(kernel: TrainingKernels, factor: float) -> None:
    packed = tree_of([(100, 30), (100, 50)])
    inputs = heads_of(packed, 4, 2, 16)
    mask = TreeMask.of(packed)
    attended = kernel.attend(inputs[0] * factor, *inputs[1:], mask, PLAIN)
    reference = attend_sdpa(inputs[0] * factor, *inputs[1:], SdpaPlan.of(packed.segments), PLAIN)
    found, wanted = (gradients(each, inputs, len(packed.ids)) for each in (attended, reference))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4 * max(1, factor), rtol=1e-3)


def test_without_its_library_training_runs_on_torch_s_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if tree_kernel() is None:
        pytest.skip("nothing is compiled here")
    shutil.copytree(KERNELS, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(compiled, "_FOLDER", tmp_path)
    broken = compiled.compiled_libraries("tree_gradient.c")
    for library in broken:
        library.write_bytes(b"not a library")
    assert module.training_kernels.__wrapped__() is None
    assert all(library.name in caplog.text for library in broken)
    assert "training attends by torch's kernels" in caplog.text


def test_it_is_compiled_where_the_forward_pass_is() -> None:
    assert (training_kernels() is None) == (tree_kernel() is None)

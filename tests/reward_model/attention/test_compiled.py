"""The compiled kernel beyond one block of keys, for every kind of processor that this one can be.

That attention as a whole is the tree's, `test_attention` shows.
"""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reward_model.attention import compiled as module
from reward_model.attention.compiled import TreeKernel, TreeMask, tree_kernel
from reward_model.attention.sdpa import AttentionParams, SdpaPlan, attend_sdpa
from reward_model.packing import Packed, Sequence, pack, padded

ROOT = Path(__file__).resolve().parents[3]
KERNELS = ROOT / "reward_model" / "attention" / "kernels"

PLAIN = AttentionParams(None, None, None)

kernels = [
    pytest.param(TreeKernel(library), id=library.stem) for library in module.compiled_libraries()
]

shapes = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 150)), min_size=1, max_size=6)


def texts_of(shapes: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """They share the first tokens of one trunk and go on with tokens of their own."""
    return [
        tuple(range(shared)) + (1000 + index,) * own for index, (shared, own) in enumerate(shapes)
    ]


def tree_of(shapes: list[tuple[int, int]], fill: int = 0) -> Packed:
    packed = pack([Sequence(text, ()) for text in texts_of(shapes)])
    return padded(packed, len(packed.ids) + fill)


def random_heads(
    packed: Packed, heads: int, key_heads: int, width: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Query, key and value [1, heads, T, width], as views of one product, as layers make them."""
    torch.manual_seed(len(packed.ids))
    product = torch.randn(1, len(packed.ids), heads + 2 * key_heads, width)
    query, key, value = product.transpose(1, 2).split([heads, key_heads, key_heads], dim=1)
    return query, key, value


def expected(
    packed: Packed,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    params: AttentionParams,
) -> torch.Tensor:
    return attend_sdpa(query, key, value, SdpaPlan.of(packed.segments), params)


@pytest.mark.parametrize("kernel", kernels)
@given(
    shapes=shapes,
    fill=st.integers(0, 20),
    heads=st.sampled_from([(1, 1), (4, 2), (3, 1), (4, 1), (6, 2), (5, 5)]),
    width=st.sampled_from([16, 24, 64, 80, 256]),
    params=st.builds(
        AttentionParams,
        st.none() | st.floats(0.01, 1),
        st.none() | st.integers(1, 300),
        st.none() | st.floats(0.1, 50),
    ),
)
@settings(max_examples=60)
def test_the_kernel_attends_as_torch_does(
    kernel: TreeKernel,
    shapes: list[tuple[int, int]],
    fill: int,
    heads: tuple[int, int],
    width: int,
    params: AttentionParams,
) -> None:
    packed = tree_of(shapes, fill)
    query, key, value = random_heads(packed, *heads, width)
    attended = kernel.attend(query, key, value, TreeMask.of(packed), params)
    real = len(packed.ids) - fill  # what padding sees does not matter
    reference = expected(packed, query, key, value, params)
    torch.testing.assert_close(attended[:, :, :real], reference[:, :, :real], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kernel", kernels)
@given(shapes=shapes, picks=st.lists(st.floats(0, 1, exclude_max=True), max_size=70))
@settings(max_examples=20)
def test_some_tokens_see_what_they_see_among_all(
    kernel: TreeKernel, shapes: list[tuple[int, int]], picks: list[float]
) -> None:
    packed = tree_of(shapes)
    tokens = torch.tensor([int(pick * len(packed.ids)) for pick in picks], dtype=torch.long)
    query, key, value = random_heads(packed, 4, 2, 16)
    mask, params = TreeMask.of(packed), AttentionParams(None, 100, None)
    some = kernel.attend(query[:, :, tokens], key, value, mask.for_tokens(tokens), params)
    every = kernel.attend(query, key, value, mask, params)
    torch.testing.assert_close(some, every[:, :, tokens])


@pytest.mark.parametrize("kernel", kernels)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_halves_are_attended_in_float32(kernel: TreeKernel, dtype: torch.dtype) -> None:
    packed = tree_of([(100, 30), (100, 50)])
    query, key, value = (part.to(dtype) for part in random_heads(packed, 4, 2, 16))
    attended = kernel.attend(query, key, value, TreeMask.of(packed), PLAIN)
    reference = expected(packed, query.float(), key.float(), value.float(), PLAIN)
    assert attended.dtype == dtype
    torch.testing.assert_close(attended, reference.to(dtype))


@pytest.mark.parametrize("kernel", kernels)
@pytest.mark.parametrize("factor", [1e-6, 30.0, 1e4])
def test_weights_may_be_all_alike_or_all_on_one(kernel: TreeKernel, factor: float) -> None:
    packed = tree_of([(100, 30), (100, 50)])
    query, key, value = random_heads(packed, 4, 2, 16)
    attended = kernel.attend(query * factor, key, value, TreeMask.of(packed), PLAIN)
    torch.testing.assert_close(
        attended, expected(packed, query * factor, key, value, PLAIN), atol=1e-3, rtol=1e-3
    )


@pytest.mark.parametrize("kernel", kernels)
@given(shapes=shapes, window=st.none() | st.integers(1, 300), factor=st.sampled_from([0.1, 1, 30]))
@settings(max_examples=30)
def test_company_does_not_change_a_bit(
    kernel: TreeKernel, shapes: list[tuple[int, int]], window: int | None, factor: float
) -> None:
    """The last token of every text, in the tree and in its text alone."""
    texts = texts_of(shapes)
    packed, params = (
        pack([Sequence(text, (len(text) - 1,)) for text in texts]),
        AttentionParams(None, window, None),
    )
    query, key, value = random_heads(packed, 4, 2, 16)
    query *= factor
    together = kernel.attend(query, key, value, TreeMask.of(packed), params)
    for text, (read,) in zip(texts, packed.reads, strict=True):
        path = [k for k in range(read + 1) if read < packed.subtree_end[k]]
        assert len(path) == len(text)
        own_query, own_key, own_value = (part[:, :, path] for part in (query, key, value))
        mask = TreeMask.of(pack([Sequence(text, ())]))
        alone = kernel.attend(own_query, own_key, own_value, mask, params)
        assert torch.equal(alone[:, :, -1], together[:, :, read])


CUDA_NAN = torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32)


@pytest.mark.parametrize("kernel", kernels)
@pytest.mark.parametrize("spot", [torch.tensor(torch.nan), torch.tensor(torch.inf), CUDA_NAN])
@pytest.mark.parametrize("part", ["query", "key", "value"])
@pytest.mark.parametrize("softcap", [None, 30.0])
def test_what_is_no_number_stays_none_and_in_its_text(
    kernel: TreeKernel, spot: torch.Tensor, part: str, softcap: float | None
) -> None:
    packed = tree_of([(0, 70), (0, 100), (50, 1), (50, 20)])
    query, key, value = random_heads(packed, 2, 1, 16)
    mask, params = TreeMask.of(packed), AttentionParams(None, None, softcap)
    clean = kernel.attend(query, key, value, mask, params)
    {"query": query, "key": key, "value": value}[part][0, 0, 30] = spot
    spotted = kernel.attend(query, key, value, mask, params)
    sees = torch.arange(len(packed.ids))
    sees = (sees >= 30) & (sees < packed.subtree_end[30])
    assert torch.equal(spotted[:, :, ~sees], clean[:, :, ~sees])
    if part == "value" or spot.isnan():
        broken = spotted[0, 0].isfinite().logical_not().any(-1)
        assert torch.equal(broken, sees if part != "query" else torch.arange(len(sees)) == 30)


@pytest.mark.parametrize("kernel", kernels)
def test_only_what_lies_in_this_machine_s_memory_is_taken(kernel: TreeKernel) -> None:
    assert not kernel.takes(torch.empty(1, 1, 1, 64, device="meta"))


def test_heads_of_other_widths_are_left_to_torch() -> None:
    kernel = tree_kernel()
    if kernel is None:
        pytest.skip("nothing is compiled here")
    taken = [
        width for width in (8, 16, 20, 64, 256, 264) if kernel.takes(torch.empty(1, 1, 1, width))
    ]
    assert taken == [16, 64, 256]


def test_without_a_compiled_kernel_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another version's, of another source, is none."""
    shutil.copytree(KERNELS, tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr(module, "_FOLDER", tmp_path)
    (tmp_path / "tree_attention.c").write_text("another one")
    assert tree_kernel.__wrapped__() is None
    assert "scripts/build-kernels" in caplog.text


def test_a_library_that_does_not_load_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_FOLDER", tmp_path)
    shutil.copytree(KERNELS, tmp_path, dirs_exist_ok=True)
    broken = module.compiled_libraries()
    if not broken:
        pytest.skip("nothing is compiled here")
    for library in broken:
        library.write_bytes(b"not a library")
    assert tree_kernel.__wrapped__() is None
    assert all(library.name in caplog.text for library in broken)


def test_kernels_are_compiled_where_there_is_a_compiler() -> None:
    """As `scripts/install` left them: on torch's kernels alone a suite shows too little."""
    if not shutil.which("cc") or torch.backends.cpu.get_cpu_capability() == "DEFAULT":
        pytest.skip("no C compiler here, or no vectors")
    assert tree_kernel() is not None


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One in which nothing is compiled."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "build-kernels", tmp_path / "scripts")
    for room in ("attention", "cpu"):
        kernels = Path("reward_model") / room / "kernels"
        ignored = shutil.ignore_patterns("*.so")
        shutil.copytree(ROOT / kernels, tmp_path / kernels, ignore=ignored)
    return tmp_path


def build(checkout: Path, compiler: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "scripts" / "build-kernels", *options],
        env=os.environ | {"CC": compiler},
        capture_output=True,
        text=True,
        check=False,
    )


def libraries(checkout: Path) -> set[str]:
    return {path.name for path in checkout.glob("reward_model/*/kernels/*.so")}


@pytest.mark.parametrize("compiler", ["no-such-cc", "false"])
def test_where_it_cannot_be_compiled_the_build_says_what_that_means(
    checkout: Path, compiler: str
) -> None:
    done = build(checkout, compiler)
    assert done.returncode == 0
    assert compiler in done.stderr
    assert "torch's kernels" in done.stderr
    assert build(checkout, compiler, "--require").returncode == 1
    assert not libraries(checkout)


@pytest.mark.skipif(not shutil.which("cc"), reason="no C compiler here")
def test_only_another_source_is_compiled_again(checkout: Path) -> None:
    assert build(checkout, "cc -g0", "--require").returncode == 0
    first = libraries(checkout)
    assert first
    assert build(checkout, "false", "--require").returncode == 0
    source = checkout / "reward_model" / "attention" / "kernels" / "tree_attention.c"
    source.write_text(source.read_text() + "// another one\n")
    assert build(checkout, "cc", "--require").returncode == 0
    assert len(libraries(checkout)) == len(first)
    # The other kernels do not include what has changed.
    kept = {name.split(".")[0] for name in libraries(checkout) & first}
    assert kept == {name.split(".")[0] for name in first} - {"tree_attention"}


@pytest.mark.skipif(
    not shutil.which("cc") or platform.machine() != "x86_64", reason="no C compiler for x86 here"
)
def test_a_compiler_that_knows_no_matrix_units_compiles_the_rest(
    checkout: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old-cc"
    old.write_text('#!/bin/sh\ncase "$*" in *-mamx-*) exit 1 ;; esac\nexec cc "$@"\n')
    old.chmod(0o755)
    done = build(checkout, str(old))
    assert done.returncode == 0
    assert "cannot compile reward_model/cpu/kernels/bf16x3.c for amx" in done.stderr
    assert {name.split(".")[1] for name in libraries(checkout)} == {"x86-64-v3", "x86-64-v4"}

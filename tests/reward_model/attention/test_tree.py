import torch

from reward_model.attention.tree import BUCKET, SMALLEST_BUCKET, Tree, bucketed
from reward_model.packing import Sequence, pack

PACKED = pack([Sequence((1, 2, 3), (0, 2)), Sequence((1, 2, 4), (2,)), Sequence((5,), (0,))])
CPU = torch.device("cpu")


def test_a_tree_holds_the_packed_batch_as_tensors() -> None:
    tree = Tree.of(PACKED, CPU)
    assert tree.ids_1T.tolist() == [PACKED.ids] == [[1, 2, 3, 4, 5]]
    assert tree.positions_1T.tolist() == [[0, 1, 2, 2, 0]]
    assert tree.subtree_end.tolist() == [4, 4, 3, 4, 5]
    assert tree.reads.tolist() == [0, 2, 3, 4]


def test_plans_of_the_kernels_are_made_once_and_are_of_this_tree() -> None:
    tree = Tree.of(PACKED, CPU)
    assert tree.sdpa_plan is tree.sdpa_plan
    assert tree.sdpa_plan.segment_sizes == [3, 1, 1]
    assert tree.flash_plan is tree.flash_plan
    assert tree.flash_plan.max_path == 3
    assert tree.mask is tree.mask
    assert tree.mask.end.tolist() == PACKED.subtree_end


def test_buckets_are_whole_and_nothing_is_added_to_a_full_one() -> None:
    once = bucketed(PACKED)
    assert len(once.ids) == SMALLEST_BUCKET
    assert bucketed(once) is once
    for length, padded in [(257, 512), (512, 512), (1000, BUCKET), (BUCKET + 1, 2 * BUCKET)]:
        packed = pack([Sequence(tuple(range(length)), (length - 1,))])
        assert len(bucketed(packed).ids) == padded


def test_on_a_cpu_nothing_is_padded() -> None:
    assert Tree.of(PACKED, CPU).packed is PACKED

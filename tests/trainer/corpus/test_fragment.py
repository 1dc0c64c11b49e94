import pytest

from trainer.corpus.fragment import reason_to_drop


@pytest.mark.parametrize(
    ("name", "nodes", "reason"),
    [
        ("clip", 15, None),
        ("clip", 14, "too small"),
        ("__init__", 100, "dunder"),
        ("test_clip", 100, "test"),
        ("latest", 100, None),
        ("_private", 100, None),
    ],
)
def test_boilerplate_tests_and_stubs_are_dropped(name: str, nodes: int, reason: str | None) -> None:
    assert reason_to_drop(name, nodes, 15) == reason

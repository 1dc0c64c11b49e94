"""Names of models that requests cannot misread."""

import pytest

from reward_model.release.names import look_alike, require_name


@pytest.mark.parametrize(
    "name",
    [
        *("tiny-code-rm", "owner/model.v2", "checkpoint-1000", "/data/models/rm", "ready", "a:b"),
        *("my model", "模型", "é"),
    ],
)
def test_a_name_that_stands_for_itself(name: str) -> None:
    assert require_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "x" * 201),
        *("a@1", "@", "a+b", "a,b"),
        *(" a", "a ", "a\n", "a\tb", "a\u200bb", "a\x00", "\udcff", "a\u2028b", "\u202eab"),
        "e\u0301",
        *(".", "..", "../a", "a/..", "a/./b"),
        *("a/ready", "a/infer", "a/versions/1", "a/config"),
    ],
)
def test_a_name_that_could_mean_something_else_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must "):
        require_name(name)


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("Model", "model", True),
        ("ﬁne", "fine", True),
        ("straße", "STRASSE", True),
        ("model", "model", False),
        ("model", "models", False),
    ],
)
def test_names_that_look_alike(one: str, other: str, *, alike: bool) -> None:
    assert look_alike(one, other) == alike

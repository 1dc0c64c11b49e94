"""Why a model was not loaded, in words that help."""

import pytest

from reward_model.release.release import ReleaseError
from service.models.failures import explain_failure


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ReleaseError("x/config.json: is not JSON; copy it again"), "x/config.json: is not JSON"),
        (PermissionError(13, "Permission denied", "x/vocab"), "x/vocab: Permission denied; let"),
        (MemoryError(), "memory has no room for it"),
        (RuntimeError("size mismatch\n  for score"), "RuntimeError: size mismatch for score; this"),
        (OSError(), "OSError: without a message; this comes from a library"),
        (KeyError("x" * 1000), f"KeyError: '{'x' * 299};"),
    ],
)
def test_a_reason_says_what_is_wrong_and_what_to_do(error: Exception, words: str) -> None:
    assert explain_failure(error).startswith(words)

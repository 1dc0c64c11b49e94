"""What tests of the sandbox share."""

import functools

import pytest

from trainer.feedback.sandbox.bubblewrap import BubblewrapSandbox
from trainer.pipeline.stage import StageError


@functools.cache
def _why_not() -> str:
    try:
        BubblewrapSandbox(1).close()
    except StageError as error:
        return str(error)
    return ""


needs_bubblewrap = pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "it is there")

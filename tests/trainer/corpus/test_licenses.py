import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.corpus.licenses import PERMISSIVE, LicenseAllowList

ALLOWED = LicenseAllowList(PERMISSIVE)
NAMES = st.sampled_from([*PERMISSIVE, "GPL-3.0-only", "AGPL-3.0-or-later", "Proprietary"])


@pytest.mark.parametrize(
    ("spdx", "permitted"),
    [
        ("MIT", True),
        ("mit", True),
        ("apache-2.0", True),
        ("GPL-3.0-only", False),
        ("gpl-2.0", False),
        ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False),
        ("(MIT OR GPL-2.0-only) AND ISC", True),
        ("Apache-2.0 WITH LLVM-exception", True),
        ("GPL-2.0-only WITH Classpath-exception-2.0", False),
        ("unknown", False),
        ("no-license", False),
        ("see the file (somewhere", False),
        ("MIT-like", False),
    ],
)
def test_expressions_are_understood(spdx: str, permitted: bool) -> None:
    assert ALLOWED.permits(spdx) is permitted


def test_what_is_no_identifier_is_permitted_when_it_is_named() -> None:
    ours = LicenseAllowList(["unknown", "Our own (c)", "GPL-3.0-only"])
    assert all(map(ours.permits, ["unknown", "our own (C)", "gpl-3.0-only"]))
    assert not ours.permits("MIT")


@given(NAMES, NAMES)
def test_and_needs_both_and_or_needs_one(left: str, right: str) -> None:
    each = [ALLOWED.permits(left), ALLOWED.permits(right)]
    assert ALLOWED.permits(f"{left} AND {right}") is all(each)
    assert ALLOWED.permits(f"{left} OR {right}") is any(each)

"""The license of a repository, by the texts that stand at its top."""

from pathlib import Path

import pytest

from trainer.history.license import LICENSE_FILE, combined, license_of

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("text", "spdx"),
    [
        ("Apache License\n   Version 2.0, January 2004", "Apache-2.0"),
        ("MIT License\n\nPermission is hereby granted,\nfree of charge, to any person\nobtaining "
         "a copy", "MIT"),
        ("GNU GENERAL PUBLIC LICENSE\nVersion 3", "GPL-3.0-only"),
        ("SPDX-License-Identifier: MIT OR Apache-2.0\n", "MIT OR Apache-2.0"),
        ("All rights reserved.", "unknown"),
        # Code of others under another license, named in the same file.
        ("Permission is hereby granted, free of charge, to any person obtaining a copy\n\nParts "
         "are under the GNU Lesser General Public License", "LGPL-3.0-only"),
    ],
)  # fmt: skip
def test_a_license_is_known_by_a_sentence_of_its_own(text: str, spdx: str) -> None:
    assert license_of(text) == spdx


def test_this_repository_has_the_license_that_it_says() -> None:
    assert license_of((ROOT / "LICENSE").read_text()) == "Apache-2.0"


def test_all_license_files_apply() -> None:
    assert combined(["MIT", "GPL-3.0-only", "MIT"]) == "GPL-3.0-only AND MIT"
    assert combined([]) == "unknown"


def test_names_of_license_files() -> None:
    names = ("LICENSE", "LICENSE.txt", "LICENCE-MIT", "COPYING", "UNLICENSE", "copying.lesser")
    assert all(LICENSE_FILE.match(name) for name in names)
    assert not any(LICENSE_FILE.match(name) for name in ("license_plate.py", "src", "LICENSES"))

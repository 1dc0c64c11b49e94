"""The license of a repository, by the files at its top."""

import re

from trainer.corpus.licenses import UNKNOWN

LICENSE_FILE = re.compile(r"^(un)?licen[cs]e([.-].*)?$|^copying([.-].*)?$", re.I)
STATED = re.compile(r"SPDX-License-Identifier:\s*([\w.+()\- ]+)")

# Sentences that only one license has, by its SPDX identifier; the first one that is found decides.
_SENTENCES = (
    ("AGPL-3.0-only", "gnu affero general public license"),
    ("LGPL-3.0-only", "gnu lesser general public license"),
    ("GPL-3.0-only", "gnu general public license"),
    ("MPL-2.0", "mozilla public license"),
    ("Apache-2.0", "apache license version 2.0"),
    ("PSF-2.0", "python software foundation license"),
    ("BSL-1.0", "boost software license"),
    ("Unlicense", "this is free and unencumbered software released into the public domain"),
    ("CC0-1.0", "cc0 1.0 universal"),
    ("ISC", "permission to use, copy, modify, and/or distribute this software for any purpose"),
    ("ISC", "permission to use, copy, modify, and distribute this software for any purpose"),
    ("Zlib", "this software is provided 'as-is', without any express or implied warranty"),
    ("BSD-3-Clause", "may be used to endorse or promote products derived from"),
    ("BSD-2-Clause", "redistributions of source code must retain the above copyright notice"),
    ("MIT", "permission is hereby granted, free of charge, to any person obtaining a copy"),
)


def license_of(text: str) -> str:
    """The SPDX identifier of a license's text, or "unknown"."""
    if stated := STATED.search(text):
        return stated[1].strip()
    # Line ends and commas after "Apache License" stand elsewhere in every copy.
    plain = " ".join(re.sub(r"[\"\u2018\u2019\u201c\u201d]", "'", text).lower().split())
    plain = plain.replace("apache license, version", "apache license version")
    found = (spdx for spdx, sentence in _SENTENCES if sentence in plain)
    return next(found, UNKNOWN)


def combined(licenses: list[str]) -> str:
    """One expression for all license files, which all apply as far as anybody can tell here."""
    return " AND ".join(sorted(set(licenses))) or UNKNOWN

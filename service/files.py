"""Reads small files that people write: keys and their like."""

import os
import stat
from pathlib import Path

_MAX_BYTES = 4 * 1024 * 1024


def read_small_text(path: Path) -> str:
    """Read a regular file of UTF-8 text without ever waiting for it.

    Raises:
        ValueError: there is none; the message goes on after the file's name.
    """
    try:
        # Opening a FIFO would wait for somebody who writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError("is no regular file: put the file itself there")
            content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    if len(content) > _MAX_BYTES:
        raise ValueError(f"has more than {_MAX_BYTES} bytes")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None

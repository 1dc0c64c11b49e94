"""What was written to a pseudo terminal."""

import errno
import os


def read_all(main: int) -> str:
    """Read to the end and close; the terminal's other end must be closed, or be closed soon.

    One read may return a part of what was written: the kernel hands it on in the background.
    """
    parts = []
    try:
        while piece := os.read(main, 65_536):
            parts.append(piece)
    except OSError as error:
        # Linux says so, and not that the file is at its end, when nobody can write any more.
        if error.errno != errno.EIO:
            raise
    finally:
        os.close(main)
    return b"".join(parts).decode()

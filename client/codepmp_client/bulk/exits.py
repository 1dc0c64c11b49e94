"""Exit codes that a script can use, and the error of wrong arguments."""

DONE, FAILED, WRONG_USE, WITH_ERRORS, INTERRUPTED = 0, 1, 2, 3, 130


def table(
    failed: str = "OUT is not written",
    with_errors: str = "some rows have an error instead of a score, or were left out",
    interrupted: str = "OUT is not written",
) -> str:
    """Return the text about exit codes for `--help`; the arguments say what is a command's own."""
    return f"""\
exit codes:
  0    done, and every row has what it should have
  1    failed, after a sentence on standard error; {failed}
  2    wrong arguments, or columns that are not clear
  3    done, but {with_errors}
  130  interrupted; {interrupted}
"""


class UsageError(Exception):
    """Arguments that do not go together, or not with the file; one sentence."""

"""Exit codes that a script can use, and the error of wrong arguments."""

DONE, FAILED, WRONG_USE, WITH_ERRORS, INTERRUPTED = 0, 1, 2, 3, 130

TABLE = """\
exit codes:
  0    done, and every row has what it should have
  1    failed, after a sentence on standard error; what was scored is kept for the next run
  2    wrong arguments, or columns that are not clear
  3    done, but some rows have an error instead of a score, or were left out
  130  interrupted; the same command goes on
"""


class UsageError(Exception):
    """Arguments that do not go together, or not with the file; one sentence."""

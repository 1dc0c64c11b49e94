"""Decides which files may be used: an allow-list of SPDX identifiers, applied to expressions."""

from collections.abc import Iterable
from functools import cache, lru_cache

from boolean import Expression
from license_expression import ExpressionError, LicenseWithExceptionSymbol, get_spdx_licensing

UNKNOWN = "unknown"
PERMISSIVE = (
    "0BSD",
    "Apache-2.0",
    "BlueOak-1.0.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "NCSA",
    "PostgreSQL",
    "PSF-2.0",
    "Python-2.0",
    "Unlicense",
    "X11",
    "Zlib",
)

spdx_licensing = cache(get_spdx_licensing)  # its list of identifiers takes a second to read


class LicenseAllowList:
    """Decides on license expressions: `A OR B` needs one allowed license, `A AND B` needs both.

    `WITH` an exception only adds permissions, so the license before it decides.
    """

    def __init__(self, licenses: Iterable[str]) -> None:
        self._licensing = spdx_licensing()
        self._allowed = {spdx.lower() for spdx in licenses}
        # Millions of files state the same few expressions.
        self.permits = lru_cache(maxsize=10_000)(self._permits)

    def _permits(self, stated: str) -> bool:
        """Whether use is allowed. Text that is no SPDX expression must be on the list verbatim."""
        if stated.lower() in self._allowed:
            return True
        try:
            expression = self._licensing.parse(stated)
        except ExpressionError:
            return False
        return expression is not None and self._holds(expression)

    def _holds(self, expression: Expression) -> bool:
        if isinstance(expression, self._licensing.OR):
            return any(self._holds(part) for part in expression.args)
        if isinstance(expression, self._licensing.AND):
            return all(self._holds(part) for part in expression.args)
        if isinstance(expression, LicenseWithExceptionSymbol):
            expression = expression.license_symbol
        return expression.key.lower() in self._allowed

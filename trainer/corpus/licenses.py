"""Which licenses allow a file's use: an allow-list of SPDX identifiers, applied to expressions."""

from collections.abc import Iterable
from functools import cache, lru_cache

from boolean import Expression
from license_expression import (
    ExpressionError,
    LicenseWithExceptionSymbol,
    Licensing,
    get_spdx_licensing,
)

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


class LicenseAllowList:
    """Of `A OR B` one is enough, of `A AND B` both are needed; `WITH` only adds permissions."""

    def __init__(self, licenses: Iterable[str]) -> None:
        self._licensing = _spdx()
        self._allowed = {spdx.lower() for spdx in licenses}
        self.permits = lru_cache(maxsize=10_000)(self._permits)

    def _permits(self, stated: str) -> bool:
        """What is no SPDX expression is permitted when the list has it word for word."""
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


@cache
def _spdx() -> Licensing:
    """Its list of identifiers takes a while to read."""
    return get_spdx_licensing()

"""Counts of what was left out of a file with scores, by reason."""

from collections import Counter
from dataclasses import dataclass, field

# A file may have a million bad rows, and the first few tell what is wrong with them.
_NAMED_ROWS = 3


@dataclass
class Tally:
    """Counts of rows and prompts that were read; and by reason, of everything that was left out.

    Attributes:
        bad_rows: number and fault of the first rows that were left out.
        missing_columns: rows that lack a column that was to be kept, by its name.
    """

    rows: int = 0
    prompts: int = 0
    rows_left_out: int = 0
    bad_rows: list[str] = field(default_factory=list)
    missing_columns: Counter[str] = field(default_factory=Counter)
    candidates_left_out: Counter[str] = field(default_factory=Counter)
    prompts_left_out: Counter[str] = field(default_factory=Counter)
    pairs_left_out: Counter[str] = field(default_factory=Counter)

    def leave_row_out(self, number: int, reason: str) -> None:
        """Count a row that cannot be read."""
        self.rows_left_out += 1
        if len(self.bad_rows) < _NAMED_ROWS:
            self.bad_rows.append(f"row {number}: {reason}")

    def facts(self) -> dict[str, object]:
        """Return the counts as JSON has them."""
        return {
            "rows": self.rows,
            "rows_left_out": self.rows_left_out,
            "bad_rows": self.bad_rows,
            "prompts": self.prompts,
            "prompts_left_out": dict(self.prompts_left_out),
            "candidates_left_out": dict(self.candidates_left_out),
            "pairs_left_out": dict(self.pairs_left_out),
        }

    def sentences(self) -> list[str]:
        """Return sentences for people, one for each kind of thing that was left out."""
        sentences = []
        for name, reasons in (
            ("prompts", self.prompts_left_out),
            ("candidates", self.candidates_left_out),
            ("pairs", self.pairs_left_out),
        ):
            if parts := [f"{count:,} ({reason})" for reason, count in sorted(reasons.items())]:
                sentences.append(f"{name} left out: {', '.join(parts)}")
        sentences += [
            f"{count:,} rows have no column {column}, which is null there"
            for column, count in sorted(self.missing_columns.items())
        ]
        if self.rows_left_out:
            more = ", and more" if self.rows_left_out > len(self.bad_rows) else ""
            sentences.append(
                f"{self.rows_left_out:,} rows cannot be read and are left out: "
                f"{'; '.join(self.bad_rows)}{more}"
            )
        return sentences

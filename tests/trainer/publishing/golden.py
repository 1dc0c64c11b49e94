"""The embedded release's golden scores, as a stranger with a tokenizer would ask for them."""

import json
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer

RELEASE = Path(__file__).resolve().parents[3] / "releases" / "tiny-code-rm"
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Known:
    """A conversation, its ids by the release's own chat template, and its score."""

    messages: list[dict[str, str]]
    ids: list[int]
    score: float


def known_scores() -> list[Known]:
    """All but those whose text spells a control token, which only our encoder reads as text."""
    tokenizer = AutoTokenizer.from_pretrained(RELEASE)
    rows = [json.loads(line) for line in (RELEASE / "golden.jsonl").read_text().splitlines()]
    plain = [row for row in rows if "<|" not in row["messages"][-1]["content"]]
    found = []
    for row in plain:
        ids = tokenizer.apply_chat_template(row["messages"], return_dict=False)
        assert isinstance(ids, list)
        found.append(Known(row["messages"], [i for i in ids if isinstance(i, int)], row["score"]))
    return found

"""Names of the metrics that a running service exports."""

import re

from tests.service.fakes import running


async def names_of_metrics() -> set[str]:
    """Every series' name: histograms have three, counters end in `_total`."""
    async with running() as app:
        await app.score("prompt", "a", "bb")
        app.service.metrics.note_golden_mismatch()
        text = (await app.client.get("/metrics")).text
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
    parts = ("_bucket", "_sum", "_count")
    histograms = {
        f"{name}{part}" for name, kind in types.items() if kind == "histogram" for part in parts
    }
    return histograms | types.keys() | {"reward_api_keys_stale"}  # with a file of keys alone


def without_text(expression: str) -> str:
    """Without what stands in quotation marks, which names no metric."""
    return re.sub(r'"[^"]*"', '""', expression)

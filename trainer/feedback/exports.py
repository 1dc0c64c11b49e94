"""Pairs as files that other trainers read.

No file has log-probabilities of a reference: TRL takes columns of that name and then ignores them.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

from trainer.pairs.policy_row import PolicyAnswer, PolicyRow
from trainer.tables.record import Record

FileFormat = Literal["trl", "openrlhf", "llama_factory", "nemo_rl"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)


def trl(row: PolicyRow, rejected: PolicyAnswer) -> Record:
    """TRL's conversational preference format, which has explicit prompts."""
    return {
        "prompt": [{"role": "user", "content": row.prompt}],
        "chosen": [{"role": "assistant", "content": row.chosen.text}],
        "rejected": [{"role": "assistant", "content": rejected.text}],
    }


def openrlhf(row: PolicyRow, rejected: PolicyAnswer) -> Record:
    """OpenRLHF's columns for its chat template; `margin` is for its reward models."""
    return {**trl(row, rejected), "margin": row.chosen.value - rejected.value}


def llama_factory(row: PolicyRow, rejected: PolicyAnswer) -> Record:
    """LLaMA-Factory's ranking data in the sharegpt format, which `dataset_info.json` describes."""
    return {
        "conversations": [{"from": "human", "value": row.prompt}],
        "chosen": {"from": "gpt", "value": row.chosen.text},
        "rejected": {"from": "gpt", "value": rejected.text},
    }


def nemo_rl(row: PolicyRow, rejected: PolicyAnswer) -> Record:
    """NeMo-RL's `BinaryPreferenceDataset`."""
    return {"prompt": row.prompt, "chosen": row.chosen.text, "rejected": rejected.text}


WRITERS: dict[FileFormat, Callable[[PolicyRow, PolicyAnswer], Record]] = {
    "trl": trl,
    "openrlhf": openrlhf,
    "llama_factory": llama_factory,
    "nemo_rl": nemo_rl,
}


def write_exports(
    folder: Path, formats: Iterable[FileFormat], split: str, rows: list[PolicyRow]
) -> Counter[str]:
    """Write `FORMAT-SPLIT.jsonl` with a line for each pair; returns counts of what was left out.

    Pairs of prefixes are left out: these trainers end every answer with the end token.
    """
    whole = [row for row in rows if row.ends]
    for name in formats:
        with (folder / f"{name}-{split}.jsonl").open("w", encoding="utf-8") as stream:
            for row in whole:
                for rejected in row.rejected:
                    line = json.dumps(WRITERS[name](row, rejected), ensure_ascii=True)
                    stream.write(line + "\n")
    left_out = sum(len(row.rejected) for row in rows if not row.ends)
    return Counter({"exports: pairs of prefixes are left out": left_out})


def write_dataset_info(folder: Path, splits: Iterable[str]) -> None:
    """Write LLaMA-Factory's `dataset_info.json`, which names a data set `policy_pairs_SPLIT`."""
    info = {
        f"policy_pairs_{split}": {
            "file_name": f"llama_factory-{split}.jsonl",
            "formatting": "sharegpt",
            "ranking": True,
            "columns": {
                "messages": "conversations",
                "chosen": "chosen",
                "rejected": "rejected",
            },
        }
        for split in splits
    }
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=1) + "\n")

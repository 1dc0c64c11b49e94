"""Log-probs of answers under a reference policy, computed once and kept in a file.

Training then holds no second model. The file's name says which model it is of, by the digest of its
weights and the precision, and a row's key says of which token ids. Any run with the same model and
ids reads it, and an interrupted computation goes on where it was.
"""

import hashlib
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from transformers import PreTrainedModel

from reward_model.packing import shared_prefix
from trainer.pipeline.ledger_file import LedgerFile
from trainer.pipeline.progress import ProgressBar
from trainer.policy.batches import pack_answers
from trainer.policy.encoded import EncodedPolicyRow
from trainer.policy.log_probs import answer_log_probs
from trainer.training.loop import processes

# Tokens in a batch, shared ones counted once.
_BATCH_TOKENS = {"cpu": 2048, "cuda": 32_768}

Text = tuple["array[int]", "array[int]"]
"""Token ids of a prompt and of its answer."""


def text_key(prompt_ids: "array[int]", ids: "array[int]") -> str:
    """The key of an answer behind its prompt."""
    digest = hashlib.sha256(len(prompt_ids).to_bytes(8, "little"))
    digest.update(prompt_ids.tobytes())
    digest.update(ids.tobytes())
    return digest.hexdigest()


def texts_of(rows: Iterable[EncodedPolicyRow]) -> dict[str, Text]:
    """All answers of these rows by their keys, each once."""
    return {
        text_key(row.prompt_ids, answer.ids): (row.prompt_ids, answer.ids)
        for row in rows
        for answer in row.answers
    }


class ReferenceFile:
    """The log-probs of one model.

    Args:
        folder: of all such files.
        weights: digest of the model's weights.
        precision: how it computes, such as `bfloat16`.
    """

    def __init__(self, folder: Path, weights: str, precision: str) -> None:
        self._folder = folder
        self._name = f"{weights[:32]}-{precision}"

    def read(self, texts: dict[str, Text]) -> dict[str, "array[float]"]:
        """Read the known log-probs of these texts from the files of all processes."""
        found = {}
        for file in sorted(self._folder.glob(f"{self._name}-*.sqlite")):
            ledger = self._open(file)
            for key, values in ledger.select("SELECT * FROM log_probs"):
                if key in texts:
                    found[key] = array("f", values)
            ledger.close()
        return found

    def complete(
        self, texts: dict[str, Text], network_of: Callable[[], PreTrainedModel], *, bf16: bool
    ) -> dict[str, "array[float]"]:
        """The log-probs of all these texts, computed first where the files lack some.

        Args:
            network_of: gives the network, and is called only if something is missing. It attends by
                `reward_model.attention.IMPLEMENTATION`, and is on the CPU afterwards.
        """
        known = self.read(texts)
        missing = {key: text for key, text in texts.items() if key not in known}
        # All processes see the same files here, so they agree on what is missing.
        processes.wait()
        if missing:
            network = network_of()
            network.to(processes.device())  # type: ignore[arg-type]  # a device's name
            self.compute(missing, network, bf16=bf16)
            network.to("cpu")  # type: ignore[arg-type]
            processes.wait()
            known = self.read(texts)
        return known

    def compute(self, texts: dict[str, Text], network: PreTrainedModel, *, bf16: bool) -> None:
        """Compute those of this process's share of `texts`, and keep each batch at once.

        Args:
            network: attends by `reward_model.attention.IMPLEMENTATION`, on its device.
        """
        share = sorted(texts, key=lambda key: (*texts[key][0], *texts[key][1]))
        share = share[processes.rank() :: processes.count()]
        # Each process has a file of its own: not every file system that nodes share has locks.
        ledger = self._open(self._folder / f"{self._name}-{processes.rank()}.sqlite")
        device = network.device.type
        bar = ProgressBar[str](
            total=len(share), desc="reference log-probs", unit=" answers", disable=None
        )
        for keys in _batches(share, texts, _BATCH_TOKENS.get(device, 4096)):
            answers = pack_answers([texts[key] for key in keys])
            with torch.inference_mode(), torch.autocast(device, torch.bfloat16, enabled=bf16):
                values = answer_log_probs(network, answers).tolist()
            for key, entries in zip(keys, answers.tokens, strict=True):
                found = array("f", [values[entry] for entry in entries])
                ledger.append((key, found.tobytes()))
            bar.update(len(keys))
        bar.close()
        ledger.close()

    def _open(self, file: Path) -> LedgerFile:
        columns = ("key TEXT PRIMARY KEY", "log_probs BLOB")
        return LedgerFile(file, "log_probs", columns, "compute all reference log-probs again")


def _batches(keys: list[str], texts: dict[str, Text], limit: int) -> Iterable[list[str]]:
    """Neighbours together until their shared tree has more tokens than the limit."""
    batch: list[str] = []
    tokens = 0
    previous: tuple[int, ...] = ()
    for key in keys:
        ids = (*texts[key][0], *texts[key][1])
        added = len(ids) - shared_prefix(previous, ids)
        if batch and tokens + added > limit:
            yield batch
            batch, tokens, added = [], 0, len(ids)
        batch.append(key)
        tokens, previous = tokens + added, ids
    if batch:
        yield batch

"""What has been asked so far: tokens, cost and failures, seen while it goes on."""

from collections import Counter
from typing import Self

from tqdm import tqdm

from trainer.pipeline.stage import StageError
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.ledger import Ledger
from trainer.synthesis.requests import Completion, Failure, Outcome


class Progress:
    """Takes outcomes in any order: answers go into the ledger, failures are counted by reason.

    Raises:
        StageError: from `record`, when there is no use in going on.
    """

    def __init__(self, ledger: Ledger, endpoint: EndpointConfig, done: int, total: int) -> None:
        self.failures: Counter[str] = Counter()
        self._ledger = ledger
        self._endpoint = endpoint
        self._in_a_row = 0
        self._tokens = Counter[str]()
        self._bar = tqdm(total=total, initial=done, desc=endpoint.model, unit="answer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def record(self, outcome: Outcome) -> None:
        if isinstance(outcome, Completion):
            self._keep(outcome)
        else:
            self._count(outcome)

    def _keep(self, answer: Completion) -> None:
        self._ledger.append(answer)
        self._in_a_row = 0
        self._tokens.update(read=answer.prompt_tokens, written=answer.completion_tokens)
        read, written = self._tokens["read"], self._tokens["written"]
        self._bar.set_postfix(
            tokens=f"{read}+{written}",
            cost=f"{self._endpoint.cost(read, written):.2f}",
            failed=self.failures.total(),
            refresh=False,
        )
        self._bar.update()

    def _count(self, failure: Failure) -> None:
        self.failures[failure.reason] += 1
        self._in_a_row += 1
        url, model = self._endpoint.url, self._endpoint.model
        if failure.hopeless:
            raise StageError(
                f"{url} refuses to answer as {model} ({failure.reason}: {failure.detail}): check "
                "the URL, the model's name and the key; answers so far are kept"
            )
        if self._in_a_row >= self._endpoint.max_consecutive_failures:
            raise StageError(
                f"{self._in_a_row} requests to {url} failed in a row, the last with "
                f"{failure.reason} ({failure.detail}): see to the endpoint, then run this stage "
                "again; answers so far are kept"
            )

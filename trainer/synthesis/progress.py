"""Records outcomes as they arrive: completions, tokens, cost and failures, with a progress bar."""

from collections import Counter
from typing import Self

from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import StageError
from trainer.synthesis.endpoint import EndpointConfig
from trainer.synthesis.ledger import Ledger
from trainer.synthesis.requests import Completion, RequestOutcome


class Progress:
    """Takes outcomes in any order: completions go into the ledger, failures are counted.

    Raises:
        StageError: from `record`, when further requests would fail as well.
    """

    def __init__(self, ledger: Ledger, endpoint: EndpointConfig, done: int, total: int) -> None:
        self.failures: Counter[str] = Counter()
        self._ledger = ledger
        self._endpoint = endpoint
        self._consecutive_failures = 0
        self._tokens = Counter[str]()
        self._bar = ProgressBar[RequestOutcome](
            total=total, initial=done, desc=endpoint.model, unit=" answers"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def record(self, outcome: RequestOutcome) -> None:
        """Keep a completion or count a failure."""
        if isinstance(outcome, Completion):
            self._ledger.append(outcome)
            self._consecutive_failures = 0
            self._tokens.update(read=outcome.prompt_tokens, written=outcome.completion_tokens)
            read, written = self._tokens["read"], self._tokens["written"]
            self._bar.set_postfix(
                tokens=f"{read}+{written}",
                cost=f"{self._endpoint.cost(read, written):.2f}",
                failed=self.failures.total(),
                refresh=False,
            )
            self._bar.update()
            return
        self.failures[outcome.reason] += 1
        self._consecutive_failures += 1
        url, model = self._endpoint.url, self._endpoint.model
        if outcome.fatal:
            raise StageError(
                f"{url} refuses to answer as {model} ({outcome.reason}: {outcome.detail}): check "
                "the URL, the model's name and the key. Completions so far are kept"
            )
        # A single failure is left for the next run; an endpoint that fails always would cost
        # every remaining request its retries and its deadline.
        if self._consecutive_failures >= self._endpoint.max_consecutive_failures:
            raise StageError(
                f"{self._consecutive_failures} requests to {url} failed in a row, the last with "
                f"{outcome.reason} ({outcome.detail}): repair the endpoint, then run this stage "
                "again. Completions so far are kept"
            )

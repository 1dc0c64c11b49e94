"""Best of N: the candidate that the reward model prefers."""

from collections.abc import Sequence
from dataclasses import dataclass

from codepmp_client.client import AsyncRewardClient, RewardClient
from codepmp_client.errors import NoScore
from codepmp_client.inputs import INTERACTIVE, Options, Prompt
from codepmp_client.results import Result


@dataclass(frozen=True, slots=True)
class Best:
    """The best candidate, its index among the candidates, and the scores of all of them."""

    candidate: str
    index: int
    result: Result


def best_of_n(
    client: RewardClient,
    prompt: Prompt,
    candidates: Sequence[str],
    options: Options = INTERACTIVE,
) -> Best:
    """Return the candidate with the highest raw score; ties are broken by index.

    Candidates without a score are left out.

    Raises:
        NoScore: no candidate has a score.
    """
    return _best(candidates, client.score(prompt, candidates, options))


async def best_of_n_async(
    client: AsyncRewardClient,
    prompt: Prompt,
    candidates: Sequence[str],
    options: Options = INTERACTIVE,
) -> Best:
    """Do as `best_of_n`, on an event loop."""
    return _best(candidates, await client.score(prompt, candidates, options))


def _best(candidates: Sequence[str], result: Result) -> Best:
    if result.best is not None:
        return Best(candidates[result.best], result.best, result)
    # None has a score, so each has an error. One prompt's candidates usually fail alike.
    error = result.scores[0].error
    assert error
    raise NoScore(f"no candidate has a score; the first: {error.message}", code=error.code)

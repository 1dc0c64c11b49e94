from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.synthesis.requests import ModelIdentity, Sampling, completion_requests

ASKED = ModelIdentity("coder", "r1", "chat")
SAMPLING = Sampling(seed=7, samples=3)


FROZEN = "289755bd079a320bfe556a5658c9b55a"


def ids(
    prompt: str = "p", asked: ModelIdentity = ASKED, sampling: Sampling = SAMPLING
) -> list[str]:
    return [request.id for request in completion_requests(prompt, asked, sampling)]


def test_an_id_stays_the_same_for_as_long_as_ledgers_are_kept() -> None:
    assert ids("Sort a list.", ModelIdentity("m", "", "chat"), Sampling()) == [FROZEN]


@given(st.text(), st.integers(1, 5))
def test_ids_are_a_function_of_what_is_asked(prompt: str, samples: int) -> None:
    sampling = replace(SAMPLING, samples=samples)
    assert ids(prompt, sampling=sampling) == ids(prompt, sampling=sampling)
    assert len(set(ids(prompt, sampling=sampling))) == samples
    assert ids(prompt, sampling=sampling)[0] == ids(prompt)[0], "more samples keep the earlier ones"


@pytest.mark.parametrize(
    "sampling",
    [
        replace(SAMPLING, temperature=0.1),
        replace(SAMPLING, top_p=0.5),
        replace(SAMPLING, max_tokens=7),
        replace(SAMPLING, seed=8, samples=1),
        replace(SAMPLING, stop=("\n",)),
        replace(SAMPLING, extra={"top_k": 3}),
    ],
)
def test_other_settings_are_other_questions(sampling: Sampling) -> None:
    assert ids()[0] not in ids(sampling=sampling)


@pytest.mark.parametrize("name", ["model", "revision", "route"])
def test_another_model_is_another_question(name: str) -> None:
    other = replace(ASKED, **{name: "completions"})  # type: ignore[arg-type]
    assert not set(ids()) & set(ids(asked=other))


def test_samples_differ_by_seed_and_without_seeds_by_number() -> None:
    seeds = [request.body["seed"] for request in completion_requests("p", ASKED, SAMPLING)]
    assert seeds == [7, 8, 9]
    unseeded = completion_requests("p", ASKED, replace(SAMPLING, seed=None))
    assert len({request.id for request in unseeded}) == 3
    assert all("seed" not in request.body for request in unseeded)


def test_what_is_none_is_not_sent_and_extra_fields_are() -> None:
    sampling = Sampling(None, None, None, None, extra={"max_completion_tokens": 5})
    (request,) = completion_requests("p", ASKED, sampling)
    assert request.body == {"max_completion_tokens": 5}

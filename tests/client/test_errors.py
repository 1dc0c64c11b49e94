import pytest

from codepmp_client.errors import NoScore, Refused, RewardError, Unavailable, VersionChanged


def test_an_error_shows_its_message_and_the_facts_that_are_known() -> None:
    error = Refused("too many inputs", status=422, code="invalid_request", request_id="abc")
    assert str(error) == "too many inputs (422, invalid_request, request abc)"
    assert str(Unavailable("nobody is there", request_id="abc")) == "nobody is there (request abc)"
    assert str(VersionChanged("score it again")) == "score it again"


def test_facts_that_are_not_known_are_none() -> None:
    error = NoScore("no candidate has a score", code="empty")
    assert (error.message, error.code) == ("no candidate has a score", "empty")
    assert (error.status, error.param, error.request_id) == (None, None, None)


@pytest.mark.parametrize("kind", RewardError.__subclasses__())
def test_every_error_is_caught_by_its_base(kind: type[RewardError]) -> None:
    with pytest.raises(RewardError, match="words"):
        raise kind("words", param="inputs")

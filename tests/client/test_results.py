from codepmp_client.results import ItemError, Result, Score


def result(*raws: float | None) -> Result:
    scores = [
        Score(raw, None, 1, None if raw is not None else ItemError("too_long", "")) for raw in raws
    ]
    return Result(tuple(scores), "rm", "1")


def test_the_ranking_is_the_servers_rule() -> None:
    """Best first; of equals the earlier one; what has no score takes no part."""
    assert result(1.0, None, 2.0, 1.0).ranking == (2, 0, 3)
    assert result(1.0, None, 2.0, 1.0).best == 2


def test_scores_are_raw_unless_the_server_says_otherwise() -> None:
    assert result(1.0).score_type == "raw_logit"


def test_without_scores_there_is_no_best() -> None:
    assert (result(None).ranking, result(None).best) == ((), None)

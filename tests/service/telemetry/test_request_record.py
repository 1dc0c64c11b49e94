"""The record of a request, as its log line and its Server-Timing header show it."""

from reward_model.text.chat import Message
from service.errors import ItemError
from service.scoring.types import Chat, ItemScore, ScoringRequest, ScoringResult, Timings
from service.telemetry.request_record import RequestRecord

ASKED = ScoringRequest(
    ((Chat((), Message("assistant", "")), Chat((), Message("assistant", ""))),), priority="bulk"
)
SCORES = (ItemScore(3, raw=1.0), ItemScore(9, error=ItemError("too_long", "too long")))
TIMINGS = Timings(started=5.0, admit=0.001, encode=0.002, queue=0.003, infer=0.0042, total=0.01)
RESULT = ScoringResult("rm", "1", (SCORES,), 3, 0, TIMINGS)


def test_a_scored_request_counts_each_item() -> None:
    record = RequestRecord("id", "POST", asked=ASKED, result=RESULT)
    assert record.item_outcomes() == {"ok": 1, "too_long": 1}
    assert record.outcome == "ok"


def test_the_items_of_a_failed_request_share_its_error() -> None:
    record = RequestRecord("id", "POST", asked=ASKED, error="queue_full")
    assert record.item_outcomes() == {"queue_full": 2}
    assert not RequestRecord("id", "GET", error="not_found").item_outcomes()


def test_server_timing_is_in_milliseconds() -> None:
    record = RequestRecord("id", "POST", result=RESULT)
    assert record.server_timing() == (
        "admit;dur=1.0, encode;dur=2.0, queue;dur=3.0, infer;dur=4.2, total;dur=10.0"
    )


def test_the_log_line_has_every_fact_that_is_known() -> None:
    record = RequestRecord("id", "POST", route="/v1/score", dialect="native", status=200)
    record.key, record.trace_id, record.seconds = "team-a", "4bf9", 0.0125
    record.asked, record.result = ASKED, RESULT
    facts = record.facts()
    expected = {"key": "team-a", "trace_id": "4bf9", "ms": 12.5, "priority": "bulk", "inputs": 1}
    expected |= {"items_ok": 1, "items_too_long": 1, "tokens": 12, "infer_ms": 4.2}
    assert expected.items() <= facts.items()


def test_the_log_line_of_a_probe_is_short() -> None:
    facts = RequestRecord("id", "GET").facts()
    assert not {"key", "trace_id", "priority", "tokens", "total_ms"} & facts.keys()


def test_a_method_that_a_user_made_up_is_not_repeated() -> None:
    assert RequestRecord("id", "SECRET").facts()["method"] == "other"

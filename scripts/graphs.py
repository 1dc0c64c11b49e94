"""Defines the dashboard: a row for each question that somebody on call asks, and its graphs.

docs/metrics.md says what each metric means. `scripts/dashboard.py` draws them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Graph:
    """One panel: PromQL by legend; `HERE` in it is the selector of the namespace."""

    title: str
    unit: str
    queries: dict[str, str]
    says: str


def _quantiles(metric: str, by: str = "") -> dict[str, str]:
    group = f"le, {by}" if by else "le"
    legend = f" {{{{{by}}}}}" if by else ""
    return {
        f"p{share}{legend}": f"histogram_quantile(0.{share}, sum by ({group}) "
        f"(rate({metric}_bucket{{HERE}}[$__rate_interval])))"
        for share in (50, 95, 99)
    }


ROWS: dict[str, tuple[Graph, ...]] = {
    "Is it there?": (
        Graph(
            "Replicas ready",
            "short",
            {"ready": "sum(reward_ready{HERE})", "replicas": "count(reward_ready{HERE})"},
            "Below the number of replicas for longer than loading takes: see the pod's log.",
        ),
        Graph(
            "Engine state",
            "short",
            {"{{state}}": "sum by (state) (reward_engine_state{HERE})"},
            "failed: the log says why.",
        ),
        Graph(
            "Versions served",
            "short",
            {"{{model}} {{version}}": "count by (model, version) (reward_release_info{HERE})"},
            "Two of one model at once: a rollout is under way, or has stopped half way.",
        ),
    ),
    "Is it answering?": (
        Graph(
            "Requests",
            "reqps",
            {
                "{{dialect}} {{outcome}}": "sum by (dialect, outcome) "
                '(rate(reward_requests_total{HERE, dialect!="none"}[$__rate_interval]))'
            },
            "By whose clients, and how they ended.",
        ),
        Graph(
            "Seconds of a request",
            "s",
            _quantiles("reward_request_seconds"),
            "From its head to its answer.",
        ),
        Graph(
            "Errors",
            "short",
            {"{{code}}": "sum by (code) (rate(reward_errors_total{HERE}[$__rate_interval]))"},
            "Of whole requests and of single candidates.",
        ),
    ),
    "Is it keeping up?": (
        Graph(
            "Seconds of work that wait",
            "s",
            {
                "{{pod}}": "reward_queue_work_seconds{HERE}",
                "mean": "avg(reward_queue_work_seconds{HERE})",
            },
            "What the autoscaler acts on.",
        ),
        Graph(
            "Engines busy",
            "percentunit",
            {"{{pod}}": "rate(reward_engine_busy_seconds_total{HERE}[$__rate_interval])"},
            "Share of the time. Over 0.8 for long: one more replica.",
        ),
        Graph(
            "Queue",
            "short",
            {
                "{{priority}} tokens": "sum by (priority) (reward_queue_tokens{HERE})",
                "{{priority}} candidates": "sum by (priority) (reward_queue_items{HERE})",
            },
            "Admitted, not answered.",
        ),
        Graph(
            "Seconds in the queue",
            "s",
            _quantiles("reward_queue_seconds"),
            "From a request's last token to its first batch.",
        ),
        Graph(
            "Seconds in the engine",
            "s",
            _quantiles("reward_inference_seconds"),
            "From a request's first batch to its last.",
        ),
        Graph(
            "Seconds of encoding",
            "s",
            _quantiles("reward_encode_seconds"),
            "Turning one request's texts into tokens.",
        ),
    ),
    "What does it compute?": (
        Graph(
            "Tokens",
            "short",
            {
                "computed": "sum(rate(reward_computed_tokens_total{HERE}[$__rate_interval]))",
                "saved by shared prefixes": (
                    "sum(rate(reward_saved_tokens_total{HERE}[$__rate_interval]))"
                ),
            },
            "A second, over all replicas.",
        ),
        Graph(
            "Speed of each engine",
            "short",
            {"{{pod}}": "reward_engine_tokens_per_second{HERE}"},
            "Tokens a second of work. Falls under equal load: the machine is shared or hot.",
        ),
        Graph(
            "Candidates",
            "short",
            {"{{outcome}}": "sum by (outcome) (rate(reward_items_total{HERE}[$__rate_interval]))"},
            "A second, by how they ended.",
        ),
        Graph(
            "Batches",
            "short",
            {
                "tokens, mean": "sum(rate(reward_batch_tokens_sum{HERE}[$__rate_interval])) "
                "/ sum(rate(reward_batch_tokens_count{HERE}[$__rate_interval]))",
                "budget": "min(reward_batch_token_budget{HERE})",
            },
            "Far below the budget: the engine keeps up.",
        ),
        Graph(
            "Memory",
            "bytes",
            {"{{pod}}": "process_resident_memory_bytes{HERE}"},
            "Of the process; not a GPU's.",
        ),
        Graph(
            "Out of memory",
            "short",
            {"{{pod}}": "increase(reward_oom_splits_total{HERE}[$__rate_interval])"},
            "Batches that had to be split.",
        ),
    ),
    "What does it say?": (
        Graph(
            "Mean score of late",
            "short",
            {"{{model}} {{version}} {{pod}}": "reward_score_mean{HERE}"},
            "In RL it should rise slowly. A jump: the policy has found something.",
        ),
        Graph(
            "Drift from the reference set",
            "short",
            {"{{model}} {{version}} {{pod}}": "reward_score_drift_psi{HERE}"},
            "Its level depends on your texts; a change of it matters.",
        ),
        Graph(
            "Correlation of score and length",
            "short",
            {"{{model}} {{version}} {{pod}}": "reward_score_length_correlation{HERE}"},
            "Towards 1: length is rewarded.",
        ),
        Graph(
            "Scores",
            "short",
            {
                f"p{share} {{{{version}}}}": f"histogram_quantile(0.{share}, sum by (le, version) "
                "(rate(reward_score_bucket{HERE}[$__rate_interval])))"
                for share in (10, 50, 90)
            },
            "Raw scores answered.",
        ),
        Graph(
            "Must stay zero",
            "short",
            {
                "scores that are no number": "sum(reward_non_finite_scores_total{HERE})",
                "golden mismatches": "sum(reward_golden_mismatches_total{HERE})",
            },
            "Either one is an alert.",
        ),
    ),
}


def expressions() -> list[str]:
    """Every query, with a namespace and an interval in place of Grafana's variables."""
    return [
        expression.replace("HERE", 'namespace="reward-model"').replace("$__rate_interval", "5m")
        for graphs in ROWS.values()
        for graph in graphs
        for expression in graph.queries.values()
    ]

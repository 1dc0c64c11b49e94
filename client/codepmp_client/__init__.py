"""Client of the CodePMP reward-model server."""

from codepmp_client.best_of_n import Best, best_of_n, best_of_n_async
from codepmp_client.client import AsyncRewardClient, RewardClient
from codepmp_client.errors import (
    BadAnswer,
    DeadlineExceeded,
    NoScore,
    Refused,
    RewardError,
    ServerFault,
    Unavailable,
    VersionChanged,
)
from codepmp_client.inputs import Candidate, Input, Message, Options, Prompt
from codepmp_client.results import ItemError, PartScore, Result, Score, StepScore
from codepmp_client.trl import trl_reward
from codepmp_client.verl import verl_compute_score

__all__ = [
    "AsyncRewardClient",
    "BadAnswer",
    "Best",
    "Candidate",
    "DeadlineExceeded",
    "Input",
    "ItemError",
    "Message",
    "NoScore",
    "Options",
    "PartScore",
    "Prompt",
    "Refused",
    "Result",
    "RewardClient",
    "RewardError",
    "Score",
    "ServerFault",
    "StepScore",
    "Unavailable",
    "VersionChanged",
    "best_of_n",
    "best_of_n_async",
    "trl_reward",
    "verl_compute_score",
]

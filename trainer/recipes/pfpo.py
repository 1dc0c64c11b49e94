"""PFPO (arXiv 2411.16345) on programs: three rounds of DPO on votes of the policy's own outputs.

    python -m trainer run --recipe pfpo --work WORK --set start.policy=MODEL

WORK holds `mbpp.jsonl`, or `--set problems.paths=[...]` and likewise for `problems_probe` and
`problems_test` name other files; `--set 'problems.source={"kind": "apps"}'` names another format.
The paper's figures are for a 7B model on 8 GPUs, on problems of APPS, CodeContests and xCodeEval.
"""

from trainer.feedback.problems import ProblemsConfig
from trainer.feedback.readers.mbpp import Mbpp
from trainer.pipeline.recipe import Recipe
from trainer.recipes.rounds import study
from trainer.recipes.study import Study

POLICY = "deepseek-ai/deepseek-coder-7b-instruct-v1.5"
MBPP = ("mbpp.jsonl*",)

STUDY = Study(
    POLICY,
    train=ProblemsConfig(Mbpp(split="train"), MBPP),
    probe=ProblemsConfig(Mbpp(split="validation"), MBPP),
    test=ProblemsConfig(Mbpp(split="test"), MBPP),
    # MBPP's texts leave open what is returned; the data set's own prompts show its tests, too.
    examples=1,
)


def recipe() -> Recipe:
    """Rounds of sample, execute, vote, pair, train and gate; then a report beside the start."""
    return study("pfpo", STUDY, rounds=3)

"""`codepmp_smollm2` with larger numbers, meant for ten minutes of training on a GPU: not timed yet.

Serve both writers first and name them in CODEPMP_STRONG_URL and CODEPMP_WEAK_URL. For eight GPUs,
`codepmp_smollm2_8gpu` is the same with eight times the pairs.
"""

from dataclasses import replace

from trainer.pipeline.recipe import Recipe
from trainer.recipes import codepmp_smollm2


def recipe() -> Recipe:
    return enlarged("codepmp_smollm2_gpu", snippets=50_000, prompts_per_step=64)


def enlarged(name: str, snippets: int, prompts_per_step: int) -> Recipe:
    """The recipe with this many descriptions, more samples of each problem, and larger steps.

    Args:
        prompts_per_step: of pretraining, over all GPUs.
    """
    made = replace(codepmp_smollm2.recipe(), name=name)
    for stage in ("describe", "strong", "weak"):
        llm = made[stage].config.llm
        busier = replace(llm, endpoint=replace(llm.endpoint, concurrency=256))
        made = made.changed(stage, llm=busier)
    asked = made["samples"].config
    more = replace(asked.llm, sampling=replace(asked.llm.sampling, samples=32))
    server = replace(asked.server, max_num_seqs=256, options=())
    return (
        made.changed("describe", max_snippets=snippets)
        .changed("samples", llm=more, server=server)
        .changed("policy_pairs", max_pairs_per_problem=64)
        .changed("pretrain", prompts_per_step=prompts_per_step, gradient_accumulation_steps=1)
        .changed(
            "finetune",
            prompts_per_step=32,
            gradient_accumulation_steps=1,
        )
        .changed("evaluate", device="cuda", dtype="bfloat16")
    )

"""Prefixes -> completions: the policy goes on from every prefix, several times."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from trainer.feedback.prefixes import Prefix, read_prefixes
from trainer.feedback.sample import STEM, Sample
from trainer.feedback.samples import PolicyConfig, ask_policy, policy_stages
from trainer.pipeline.shards import write_shards
from trainer.pipeline.stage import StageError, writing_stage
from trainer.synthesis.requests import Prefilled


@dataclass(frozen=True)
class PrefixCompletionsConfig(PolicyConfig):
    """The policy that completes; `llm.sampling.samples` is 3 to 5 in PFPO.

    On the route `completions` prefixes are sent by their exact token ids, after those of the prompt
    as it was sampled. On the route `chat` the server continues a message of the assistant's, which
    vLLM and SGLang can; a server that cannot would write a second answer behind the first.

    Attributes:
        plain_text: whether prefixes without token ids are sent on the route `completions` as text,
            the prompt before it. That is for policies without a chat template.
    """

    prefixes: str = "prefixes"
    plain_text: bool = False
    rows_per_shard: int = 1000


def run(config: PrefixCompletionsConfig, inputs: Path, output: Path) -> None:
    """Read prefixes; write samples that begin with them. Completions are kept in
    `<output>-answers` too."""
    prefixes = read_prefixes(inputs / config.prefixes)
    counts: Counter[str] = Counter(prefixes=len(prefixes))
    prompts = distinct_prompts(prefixes, config, counts)
    if not prompts:
        raise StageError(
            f"no prefix of {config.prefixes} has token ids, which the route completions needs: set "
            "its `tokenizer`, ask on the route chat, or set plain_text for a policy without a chat "
            "template"
        )
    completions, sampler = ask_policy(prompts.values(), config, inputs, output)
    seed = config.llm.sampling.seed
    samples: list[Sample] = []
    for prefix in prefixes:
        if prefix.id not in prompts:
            continue
        prompt = prompts[prefix.id]
        for number, found in enumerate(completions.of(prompt)):
            if found is None:
                counts["completion: not answered yet"] += 1
                continue
            counts["completion: kept"] += 1
            counts["completion: cut at max_tokens"] += found.finish_reason == "length"
            # Ids of the whole are known only where those of both parts are.
            exact = bool(prompt.ids and found.token_ids)
            counts["completion: with token ids"] += exact
            log_probs = exact and prefix.log_probs and found.log_probs
            samples.append(
                Sample(
                    id=found.id,
                    problem=prefix.problem,
                    number=number,
                    prompt=prefix.prompt,
                    text=prompt.answer + found.text,
                    finish_reason=found.finish_reason,
                    sampler=sampler,
                    seed=None if seed is None else seed + number,
                    prompt_ids=prefix.prompt_ids,
                    token_ids=prefix.token_ids + found.token_ids if exact else (),
                    log_probs=prefix.log_probs + found.log_probs if log_probs else (),
                    prefix=prefix.id,
                )
            )
    reads = [inputs / config.prefixes, *policy_stages(config, inputs)]
    with writing_stage(config, output, reads=reads) as draft:
        write_shards(draft.path, STEM, samples, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items()))
        draft.facts["sampler"] = vars(sampler)
        draft.facts.update(completions.facts)


def distinct_prompts(
    prefixes: list[Prefix], config: PrefixCompletionsConfig, counts: Counter[str]
) -> dict[str, Prefilled]:
    """How prefixes are asked, by their ids; those that cannot be, or were before, are counted."""
    prompts: dict[str, Prefilled] = {}
    asked: set[Prefilled] = set()
    for prefix in prefixes:
        prompt = prompt_of(prefix, config)
        if prompt is None:
            counts["prefix: without token ids, not asked"] += 1
        elif prompt in asked:
            # Equal requests have one answer, and an answer is a sample of one prefix.
            counts["prefix: asked alike, not asked again"] += 1
        else:
            asked.add(prompt)
            prompts[prefix.id] = prompt
    counts["prefix: asked by token ids"] = sum(bool(prompt.ids) for prompt in prompts.values())
    return prompts


def prompt_of(prefix: Prefix, config: PrefixCompletionsConfig) -> Prefilled | None:
    """How a prefix is asked to be completed; None if it cannot be."""
    if config.llm.endpoint.route == "chat":
        # Chat templates may strip the end of a message, and the server would not say so.
        return Prefilled(prefix.prompt, prefix.text.rstrip())
    if prefix.prompt_ids and prefix.token_ids:
        return Prefilled(prefix.prompt, prefix.text, prefix.prompt_ids + prefix.token_ids)
    return Prefilled(prefix.prompt, prefix.text) if config.plain_text else None

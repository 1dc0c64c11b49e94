"""Samples -> prefixes: every sample is cut at some of its line ends, to be completed from there."""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tokenizers import Tokenizer

from trainer.feedback.line_ends import cut_at, line_ends, token_ends
from trainer.feedback.problem import read_problems
from trainer.feedback.sample import Sample, Sampler, read_samples
from trainer.feedback.serving import find_policy
from trainer.pipeline.lineage import is_stage
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.shards import read_shards, write_shards
from trainer.pipeline.stage import StageError, writing_stage

STEM = "prefixes"


@dataclass(frozen=True)
class PrefixesConfig:
    """Which line ends of which samples are cut. The defaults are PFPO's (arXiv 2411.16345).

    Attributes:
        tokenizer: the policy that was sampled, as `samples` names it, for exact token ids of its
            prefixes. Empty leaves them out; then prefixes are texts.
        first_share: only line ends in this first share of a sample's lines are cut.
        math_first_share: the same for problems whose answer is no program.
        share: of those line ends, the share that is cut; at least one is.
        max_per_sample: of those cuts, how many a sample has at most.
        max_per_problem: prefixes of one problem, after equal ones of several samples became one.
        seed: of which line ends and prefixes are taken. Those of a smaller share or limit are among
            those of a larger one.
    """

    samples: str = "samples"
    problems: str = "problems"
    tokenizer: str = ""
    first_share: float = 0.8
    math_first_share: float = 0.7
    share: float = 0.3
    max_per_sample: int = 8
    max_per_problem: int = 40
    seed: int = 1
    rows_per_shard: int = 10_000

    def __post_init__(self) -> None:
        """Raise StageError for what is no share."""
        for name in ("first_share", "math_first_share", "share"):
            if not 0 < (share := getattr(self, name)) <= 1:
                raise StageError(f"{name} is {share}: it must be above 0 and at most 1")


@dataclass(frozen=True)
class Prefix:
    """The beginning of one or several samples of a problem.

    Attributes:
        sample: the first sample that it was cut from.
        samples: all samples that it was cut from.
        prompt: the user's message.
        prompt_ids: exact token ids of everything before the answer; empty where not known.
        token_ids, log_probs: of the prefix, as the first sample has them; empty where not known.
        line: lines of the first sample up to the cut, of its `lines`; blank ones do not count.
        sampler: the policy that wrote it.
    """

    id: str
    sample: str
    problem: str
    prompt: str
    text: str
    line: int
    lines: int
    sampler: Sampler
    samples: tuple[str, ...] = ()
    prompt_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()


def run(config: PrefixesConfig, inputs: Path, output: Path) -> None:
    """Read samples and their problems; write prefixes by problem, and the counts of all cuts."""
    kinds = {problem.id: problem.kind for problem in read_problems(inputs / config.problems)}
    tokenizer = open_tokenizer(config.tokenizer, inputs) if config.tokenizer else None
    counts: Counter[str] = Counter()
    # By problem and text, so that equal prefixes of several samples are completed once.
    found: dict[str, dict[str, Prefix]] = {}
    for sample in ProgressBar(
        read_samples(inputs / config.samples), desc="prefixes", unit=" samples"
    ):
        if sample.problem not in kinds:
            raise StageError(
                f"the problem {sample.problem} of {config.samples} is not in {config.problems}: "
                "name the stage of problems that were sampled"
            )
        known = found.setdefault(sample.problem, {})
        for prefix in cut(sample, kinds[sample.problem] == "math", tokenizer, config, counts):
            same = known.get(prefix.text)
            counts["prefix: same as another sample's"] += same is not None
            known[prefix.text] = (
                replace(same, samples=(*same.samples, sample.id)) if same else prefix
            )
    kept: list[Prefix] = []
    for prefixes in found.values():
        drawn = sorted(prefixes.values(), key=lambda each: draw(config.seed, each.id))
        kept += drawn[: config.max_per_problem]
        counts["prefix: over the problem's limit"] += len(drawn[config.max_per_problem :])
    counts["prefix: kept"] = len(kept)
    counts["prefix: with token ids"] = sum(bool(prefix.token_ids) for prefix in kept)
    if not kept:
        raise StageError(
            f"no sample of {config.samples} has a line end in its first {config.first_share:g}: "
            "answers of one line have no prefixes"
        )
    reads = [inputs / config.samples, inputs / config.problems]
    if config.tokenizer and is_stage(inputs, config.tokenizer):
        reads.append(inputs / config.tokenizer)
    with writing_stage(config, output, reads=reads) as draft:
        write_shards(draft.path, STEM, kept, config.rows_per_shard)
        draft.facts["counts"] = dict(sorted(counts.items()))


def cut(
    sample: Sample,
    is_math: bool,
    tokenizer: Tokenizer | None,
    config: PrefixesConfig,
    counts: Counter[str],
) -> Iterator[Prefix]:
    """The prefixes of one sample, shortest first.

    With token ids a cut is at a token boundary: the line end's own, or the nearest one before it.
    """
    counts["sample: read"] += 1
    ends = line_ends(sample.text)
    share = config.math_first_share if is_math else config.first_share
    early = list(enumerate(ends[: int(share * (len(ends) + 1))], 1))
    if not early:
        counts["sample: too few lines"] += 1
        return
    boundaries: list[int] = []
    if tokenizer is not None and sample.token_ids:
        boundaries = token_ends(tokenizer, sample.token_ids, sample.text)
        counts["sample: token ids are not those of its text"] += not boundaries
    counts["sample: without exact token ids"] += not boundaries
    # The draw is by text, so that samples with a common beginning are cut in the same places.
    early.sort(key=lambda each: draw(config.seed, sample.text[: each[1].first]))
    taken = early[: min(math.ceil(config.share * len(early)), config.max_per_sample)]
    counts["cut: line ends"] += len(early)
    counts["cut: taken"] += len(taken)
    for line, end in sorted(taken):
        tokens = cut_at(end, boundaries) if boundaries else 0
        # Without ids the text ends before its line end: chat templates may strip what follows, and
        # many tokenizers join it with the next line's indentation.
        place = boundaries[tokens - 1] if tokens else end.first
        counts["cut: moved within the line, to a token boundary"] += place < end.first
        text = sample.text[:place]
        if not text.strip():
            counts["cut: nothing before it"] += 1
            continue
        identity = json.dumps([sample.problem, sample.prompt, text])
        yield Prefix(
            id=hashlib.sha256(identity.encode()).hexdigest()[:16],
            sample=sample.id,
            problem=sample.problem,
            prompt=sample.prompt,
            text=text,
            line=line,
            lines=len(ends) + 1,
            sampler=sample.sampler,
            samples=(sample.id,),
            prompt_ids=sample.prompt_ids,
            token_ids=sample.token_ids[:tokens],
            log_probs=sample.log_probs[:tokens],
        )


def draw(seed: int, text: str) -> bytes:
    """A key by which texts are ordered at random, whatever other texts there are."""
    return hashlib.sha256(f"{seed} {text}".encode()).digest()


def open_tokenizer(policy: str, inputs: Path) -> Tokenizer:
    """The tokenizer of a policy. Raises StageError if it has none."""
    file = find_policy(policy, inputs) / "tokenizer.json"
    if not file.is_file():
        raise StageError(
            f"{policy} has no tokenizer.json: name the policy that was sampled, or leave "
            "`tokenizer` empty for prefixes without token ids"
        )
    return Tokenizer.from_file(str(file))


def read_prefixes(folder: Path) -> list[Prefix]:
    """All prefixes of a finished stage."""
    return read_shards(folder, STEM, Prefix)

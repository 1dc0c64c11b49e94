"""Judges releases on answers that language models really wrote, labelled by running them.

    python -m benchmarks.real_samples --release RELEASE --release releases/tiny-code-rm \\
        --samples NAME PROBLEMS SAMPLES VOTES --data ../shared/data --verdicts FILE [--write]

Each release scores in this process as it does when it is served: its own encoder and network, in
the dtype of its manifest. Every set is ranked by length and by a random pick as well.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.harness.page import Page, add_output_options
from benchmarks.real_samples import sets
from benchmarks.real_samples.page import Judged, introduce, report
from benchmarks.real_samples.ranking import RULES, by_rule, comparable, rank, score_release
from benchmarks.real_samples.sets import SampleSet
from reward_model.release.lora import open_checkpoint
from reward_model.release.release import ReleaseError
from trainer.pipeline.stage import StageError


def main() -> None:
    options = _options()
    page = Page("real-samples", "Releases on answers that language models wrote")
    try:
        names = {open_checkpoint(folder).name: folder for folder in options.release}
        if len(names) < len(options.release):
            raise ValueError("two releases have one name")
        found = _sets(options)
        judged = [_judge(each, names) for each in found]
    except (StageError, ReleaseError, ValueError, OSError) as error:
        sys.exit(f"real_samples: {error}")
    introduce(page, names)
    report(page, judged, list(names))
    page.write(options)


def _judge(sample_set: SampleSet, names: dict[str, Path]) -> Judged:
    questions = comparable(sample_set)
    ranked, unscored = {}, {}
    for name, folder in names.items():
        print(f"{sample_set.name}: scoring by {name}", file=sys.stderr, flush=True)
        scores, unscored[name] = score_release(folder, questions)
        ranked[name] = rank(questions, scores)
    rules = {rule: rank(questions, by_rule(rule, questions)) for rule in RULES}
    return Judged(sample_set, questions, ranked | rules, unscored)


def _sets(options: argparse.Namespace) -> list[SampleSet]:
    found: list[SampleSet] = []
    max_problems, ledger = options.problems, options.verdicts
    for name, *stages in options.samples:
        found += sets.sampled_sets(name, [Path(stage) for stage in stages], max_problems, ledger)
    if options.data:
        found.append(sets.other_writer(options.data / "reflexion_mbpp", max_problems, ledger))
        found.append(sets.solved_set(options.data, options.held_out, max_problems))
    if not found:
        raise ValueError("there is nothing to rank: give --samples or --data")
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_samples",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--release", action="append", type=Path, required=True, help="may be given again"
    )
    parser.add_argument(
        "--samples",
        action="append",
        default=[],
        nargs=4,
        metavar=("NAME", "PROBLEMS", "SAMPLES", "VOTES"),
        help="finished stages with a name for the page; problems with a head to continue are "
        "ranked as completions as well; may be given again",
    )
    parser.add_argument(
        "--data", type=Path, help="folder with reflexion_mbpp/ and candidates/, for two more sets"
    )
    parser.add_argument(
        "--held-out",
        type=Path,
        metavar="STAGE",
        help="a stage of preferences, of whose evaluation split alone GSM8K's problems are",
    )
    parser.add_argument(
        "--verdicts", type=Path, required=True, help="SQLite file that keeps what programs did"
    )
    parser.add_argument("--problems", type=int, default=1000, help="of each set, at most")
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()

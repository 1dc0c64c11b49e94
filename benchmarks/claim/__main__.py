"""Measures the gain of preference-model pretraining (arXiv 2410.02229) at small scale.

    runs/claim.sh [WORK]      makes the checkpoints and then runs this
    python -m benchmarks.claim --work WORK --data ../shared/data [--write]

WORK holds checkpoints of one base, with and without pretraining. Each is finetuned on the same
pairs of tasks that are not the pretraining task, on more and more of them, with several seeds.
Runs that WORK/claim.jsonl holds already are not repeated.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from benchmarks.claim.page import ABLATIONS, BASE, PRETRAINED, report
from benchmarks.claim.run import Run, run
from benchmarks.claim.tasks import ARITHMETIC, CODE, DEDUCTION, Task, read_tasks
from benchmarks.harness.page import Page, add_output_options

SIZES = {CODE: (0, 50, 500, 2000), DEDUCTION: (0, 50, 500, 2000), ARITHMETIC: (0, 50, 500, 1250)}
"""Pairs to finetune on; each task's largest is nearly all that it has."""

_ABLATED = 500
"""Pairs; on MBPP alone, where pretraining shows."""

Job = tuple[str, Task, int, int]
"""Arm, task, pairs, seed."""


def main() -> None:
    options = _options()
    tasks = [t for t in read_tasks(options.data, options.work) if t.name in options.tasks]
    file = options.work / "claim.jsonl"
    known = _read(file)
    wanted = list(_jobs(tasks, options.seeds, options.ablations))
    done = {(each.task, each.arm, each.pairs, each.seed) for each in known}
    left = [job for job in wanted if (job[1].name, job[0], job[2], job[3]) not in done]
    for arm, task, pairs, seed in tqdm(left, desc="runs"):
        found = run(options.work, arm, task, pairs, seed)
        with file.open("a") as stream:
            stream.write(json.dumps(asdict(found)) + "\n")
    page = Page("claim", "What pretraining on code preferences buys")
    report(page, tasks, _read(file), options.work)
    page.write(options)


def _jobs(tasks: list[Task], seeds: int, ablations: bool) -> Iterator[Job]:
    """Seed by seed, so that what is there when time runs out is whole for fewer seeds."""
    for seed in range(1, seeds + 1):
        for task in tasks:
            for arm in (PRETRAINED, BASE):
                # Without finetuning nothing depends on the seed.
                yield from ((arm, task, n, seed) for n in SIZES[task.name] if n or seed == 1)
            if ablations and task.name == CODE:
                yield from ((arm, task, _ABLATED, seed) for arm in ABLATIONS)


def _read(file: Path) -> list[Run]:
    if not file.is_file():
        return []
    return [Run(**json.loads(line)) for line in file.read_text().splitlines()]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.claim", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of runs/claim.sh")
    parser.add_argument("--data", type=Path, required=True, help="folder of the tasks' data")
    parser.add_argument("--tasks", nargs="+", choices=SIZES, default=[CODE, DEDUCTION])
    parser.add_argument("--ablations", action="store_true", help="also the short runs")
    parser.add_argument("--seeds", type=int, default=5)
    add_output_options(parser)
    return parser.parse_args()


if __name__ == "__main__":
    main()

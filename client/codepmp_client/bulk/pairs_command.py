"""The command `codepmp-score pairs`: candidates with scores to pairs in TRL's columns."""

import argparse
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from codepmp_client.bulk import exits
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.pair_rules import DEVIATIONS, RULES, CandidatePair, PairRule
from codepmp_client.bulk.progress import Progress
from codepmp_client.bulk.scored_arguments import (
    add_scored_arguments,
    scored_file,
    write_records,
)
from codepmp_client.bulk.scored_prompt import ScoredCandidate, ScoredPrompt
from codepmp_client.bulk.shared_arguments import add_output_options
from codepmp_client.bulk.tables import ColumnType, Record, TableError
from codepmp_client.bulk.tally import Tally
from codepmp_client.inputs import Message

if TYPE_CHECKING:
    from codepmp_client.bulk.shared_arguments import Commands

COLUMNS = ("prompt", "chosen", "rejected", "chosen_score", "rejected_score", "margin")

_TYPES: dict[str, ColumnType] = dict.fromkeys(COLUMNS[3:], "number")

_DESCRIPTION = """\
Makes preference pairs of candidates with scores, in TRL's columns: prompt, chosen and rejected, and
beside them chosen_score, rejected_score and margin.

rules:
  best-worst      the best candidate over the worst one
  best-each       the best candidate over each other one
  margin          every candidate over each one with a lower score; give a --margin
  best-deviation  the best candidate over the one nearest to the mean minus 2 standard deviations
  mean-deviation  each candidate a standard deviation above the mean over each one as far below it

Candidates without a score, candidates with the same text as another one of their prompt, and pairs
with equal scores are left out and counted.
"""


def add_parser(commands: "Commands") -> None:
    """Add the command and its options."""
    parser = commands.add_parser(
        "pairs",
        help="make preference pairs of candidates with scores",
        description=_DESCRIPTION,
        epilog=exits.table(with_errors="some rows were left out, or no pair was made"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_scored_arguments(parser)
    group = parser.add_argument_group("pairs")
    group.add_argument(
        "--rule",
        choices=RULES,
        default="best-worst",
        metavar="RULE",
        help="one of the above (default: best-worst)",
    )
    group.add_argument(
        "--margin",
        type=float,
        default=0.0,
        metavar="M",
        help="leave out pairs whose scores differ by less, for any rule (default: 0)",
    )
    group.add_argument(
        "--deviations",
        type=float,
        metavar="K",
        help="standard deviations, for the rules that have them (default: as above)",
    )
    group.add_argument(
        "--max-pairs-per-prompt",
        type=int,
        metavar="N",
        help="draw at most N pairs of a prompt (default: keep all)",
    )
    group.add_argument("--seed", type=int, default=0, help="of that draw (default: 0)")
    group.add_argument(
        "--messages",
        action="store_true",
        help="write conversations also where the prompt is text. DPO then uses the chat template, "
        "as the reward model did",
    )
    add_output_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make pairs, and say what was left out and how much longer chosen answers are."""
    file = scored_file(options, COLUMNS)
    rule = pair_rule(options)
    summary = PairSummary()
    tally = Tally()
    progress = Progress("pairs", options.quiet)
    records = _records(file.prompts(tally, progress), rule, options.messages, summary, tally)
    write_records(options, _TYPES, records, progress, summary, tally)
    # A script must not go on to train on nothing.
    return exits.WITH_ERRORS if tally.rows_left_out or not summary.pairs else exits.DONE


def pair_rule(options: argparse.Namespace) -> PairRule:
    """Return the rule that the arguments describe.

    Raises:
        UsageError: one of them is out of range, or has no place in the rule.
    """
    if not 0 <= options.margin < math.inf:
        raise UsageError("--margin must be 0 or more")
    if options.deviations is not None:
        if options.rule not in DEVIATIONS:
            raise UsageError(f"--deviations is for the rules {' and '.join(DEVIATIONS)}")
        if not 0 <= options.deviations < math.inf:
            raise UsageError("--deviations must be 0 or more")
    if options.max_pairs_per_prompt is not None and options.max_pairs_per_prompt < 1:
        raise UsageError("--max-pairs-per-prompt must be 1 or more")
    return PairRule(
        options.rule,
        options.margin,
        options.deviations,
        options.max_pairs_per_prompt,
        options.seed,
    )


def _records(
    prompts: Iterable[ScoredPrompt],
    rule: PairRule,
    messages: bool,
    summary: "PairSummary",
    tally: Tally,
) -> Iterator[Record]:
    """Yield the rows of the output."""
    first: dict[bool, int] = {}
    for prompt in prompts:
        tally.prompts += 1
        # One column has one type: `datasets` takes that of the first rows.
        first.setdefault(prompt.is_conversation, prompt.number)
        if len(first) > 1 and not messages:
            raise TableError(
                f"row {first[False]} has texts, and row {first[True]} messages: --messages writes "
                "both as messages"
            )
        pairs = rule.pairs(_different(prompt.candidates, tally), tally)
        summary.prompts_with_pairs += bool(pairs)
        for pair in pairs:
            summary.add(pair)
            yield _record(prompt, pair, messages or prompt.is_conversation)


def _different(candidates: Sequence[ScoredCandidate], tally: Tally) -> list[ScoredCandidate]:
    """Leave out each candidate whose text another one has before it."""
    by_text: dict[str, ScoredCandidate] = {}
    for candidate in candidates:
        if by_text.setdefault(candidate.text, candidate) is not candidate:
            tally.candidates_left_out["same text as another one"] += 1
    return list(by_text.values())


def _record(prompt: ScoredPrompt, pair: CandidatePair, conversational: bool) -> Record:
    """Return a row in TRL's format: texts, or conversations with an explicit prompt."""
    chosen, rejected = pair
    columns: Record = {
        "prompt": prompt.prompt,
        "chosen": chosen.answer,
        "rejected": rejected.answer,
        "chosen_score": chosen.score,
        "rejected_score": rejected.score,
        "margin": chosen.score - rejected.score,
    }
    if conversational:
        if isinstance(prompt.prompt, str):
            columns["prompt"] = [{"role": "user", "content": prompt.prompt}]
        columns["chosen"], columns["rejected"] = map(_turns, pair)
    if prompt.tools:
        columns["tools"] = list(prompt.tools)
    # Rows with one candidate each may differ in a kept column, for example in who wrote it.
    return columns | chosen.kept


def _turns(candidate: ScoredCandidate) -> list[Message]:
    """The conversation that a candidate adds to its prompt."""
    turn = candidate.answer
    if not isinstance(turn, Mapping):
        turn = {"content": candidate.text}
    return [{"role": "assistant", **turn}]


@dataclass
class PairSummary:
    """Sums over the pairs of a file."""

    pairs: int = 0
    prompts_with_pairs: int = 0
    chosen_longer: int = 0
    rejected_longer: int = 0
    chosen_characters: int = 0
    rejected_characters: int = 0
    margins: float = 0.0

    def add(self, pair: CandidatePair) -> None:
        """Count a pair."""
        chosen, rejected = (len(side.text) for side in pair)
        self.pairs += 1
        self.chosen_longer += chosen > rejected
        self.rejected_longer += rejected > chosen
        self.chosen_characters += chosen
        self.rejected_characters += rejected
        self.margins += pair[0].score - pair[1].score

    def facts(self) -> dict[str, object]:
        """Return the figures as JSON has them; shares and means are null without a pair."""
        sums = {
            "chosen_longer": self.chosen_longer,
            "rejected_longer": self.rejected_longer,
            "mean_chosen_characters": self.chosen_characters,
            "mean_rejected_characters": self.rejected_characters,
            "mean_margin": self.margins,
        }
        means = {name: total / self.pairs if self.pairs else None for name, total in sums.items()}
        return {"pairs": self.pairs, "prompts_with_pairs": self.prompts_with_pairs, **means}

    def sentences(self, tally: Tally) -> list[str]:
        """Return sentences for people."""
        sentences = [
            f"{self.pairs:,} pairs from {self.prompts_with_pairs:,} of {tally.prompts:,} prompts"
        ]
        if self.pairs:
            sentences.append(
                f"the chosen answer is longer in {self.chosen_longer / self.pairs:.1%} of the "
                f"pairs and shorter in {self.rejected_longer / self.pairs:.1%}: "
                f"{self.chosen_characters / self.pairs:.0f} characters on average, against "
                f"{self.rejected_characters / self.pairs:.0f}"
            )
        return sentences

"""The command `codepmp-score pairs`: candidates with scores to pairs in TRL's columns."""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from codepmp_client.bulk import exits
from codepmp_client.bulk.exits import UsageError
from codepmp_client.bulk.pair_rules import DEVIATIONS, RULES, CandidatePair, PairRule
from codepmp_client.bulk.scored_arguments import add_scored_arguments, scored_file
from codepmp_client.bulk.scored_file import ScoredFile
from codepmp_client.bulk.scored_prompt import ScoredCandidate, ScoredPrompt
from codepmp_client.bulk.tables import CHUNK_ROWS, ColumnType, Record, TableError, writing
from codepmp_client.bulk.tally import Tally

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

COLUMNS = ("prompt", "chosen", "rejected", "chosen_score", "rejected_score", "margin")

_TYPES: dict[str, ColumnType] = dict.fromkeys(COLUMNS[3:], "number")

_RULE_HELP = """\
best-worst (default): the best candidate over the worst;
best-each: the best over each other one;
margin: every two candidates, which --margin should limit;
best-deviation: the best over the one nearest to the mean minus K standard deviations;
mean-deviation: each one K standard deviations above the mean over each one as far below
"""


def add_parser(commands: "Commands") -> None:
    parser = commands.add_parser("pairs", help="make preference pairs of candidates with scores")
    add_scored_arguments(parser)
    parser.add_argument("--rule", choices=RULES, default="best-worst", help=_RULE_HELP)
    parser.add_argument(
        "--margin",
        type=float,
        default=0.0,
        metavar="M",
        help="by which the chosen score is higher at least, for any rule",
    )
    parser.add_argument(
        "--deviations",
        type=float,
        metavar="K",
        help="standard deviations of a prompt's scores (default: "
        + ", ".join(f"{k:g} for {name}" for name, k in DEVIATIONS.items())
        + ")",
    )
    parser.add_argument(
        "--max-pairs-per-prompt",
        type=int,
        metavar="N",
        help="draw so many of a prompt's pairs (default: keep all)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of that draw (default: 0)")
    parser.add_argument(
        "--messages",
        action="store_true",
        help="write conversations also where the prompt is text. DPO then uses the chat template, "
        "as the reward model did",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make pairs, and say what was left out and how much longer chosen answers are."""
    file = scored_file(options, COLUMNS)
    summary = PairSummary()
    tally = Tally()
    records = _records(file, pair_rule(options), options.messages, summary, tally)
    with writing(options.output, _TYPES, replace=options.force) as writer:
        while chunk := list(islice(records, CHUNK_ROWS)):
            writer.write_records(chunk)
    if not options.quiet:
        lines = [*summary.lines(tally), *tally.lines()]
        sys.stderr.write("".join(f"{line}\n" for line in lines))
    if options.json:
        sys.stdout.write(json.dumps(summary.facts() | tally.facts()) + "\n")
    return exits.WITH_ERRORS if tally.rows_left_out else exits.DONE


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
    file: ScoredFile, rule: PairRule, messages: bool, summary: "PairSummary", tally: Tally
) -> Iterator[Record]:
    """Yield the rows of the output."""
    plain: int | None = None
    conversation: int | None = None
    for prompt in file.prompts(tally):
        tally.prompts += 1
        # One column has one type: TRL and `datasets` read the first row and expect the same.
        if isinstance(prompt.prompt, str):
            plain = plain or prompt.row.number
        else:
            conversation = conversation or prompt.row.number
        if plain and conversation and not messages:
            raise TableError(
                f"row {plain} has a text as its prompt, and row {conversation} has messages: "
                "--messages writes both as messages"
            )
        pairs = rule.pairs(_different(prompt.candidates, tally), tally)
        summary.prompts_with_pairs += bool(pairs)
        for pair in pairs:
            summary.add(pair)
            yield _record(prompt, pair, messages or bool(conversation), file.keep)


def _different(candidates: Sequence[ScoredCandidate], tally: Tally) -> list[ScoredCandidate]:
    """Leave out each candidate whose text another one has before it."""
    by_text: dict[str, ScoredCandidate] = {}
    for candidate in candidates:
        if by_text.setdefault(candidate.text, candidate) is not candidate:
            tally.candidates_left_out["same text as another one"] += 1
    return list(by_text.values())


def _record(
    prompt: ScoredPrompt, pair: CandidatePair, conversational: bool, keep: Iterable[str]
) -> Record:
    """Return a row in TRL's format: texts, or conversations with an explicit prompt."""
    chosen, rejected = pair
    columns: Record = {
        "prompt": prompt.prompt,
        "chosen": chosen.text,
        "rejected": rejected.text,
        "chosen_score": chosen.score,
        "rejected_score": rejected.score,
        "margin": chosen.score - rejected.score,
    }
    if conversational:
        for name, role in (("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant")):
            if isinstance(text := columns[name], str):
                columns[name] = [{"role": role, "content": text}]
    # Rows with one candidate each may differ in a kept column, for example in who wrote it.
    return columns | {name: chosen.row.get(name) for name in keep}


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

    def lines(self, tally: Tally) -> list[str]:
        """Return sentences for people."""
        lines = [f"{self.pairs} pairs of {self.prompts_with_pairs} of {tally.prompts} prompts"]
        if self.pairs:
            lines.append(
                f"the chosen answer is longer in {self.chosen_longer / self.pairs:.1%} of the "
                f"pairs and shorter in {self.rejected_longer / self.pairs:.1%}: "
                f"{self.chosen_characters / self.pairs:.0f} characters on average, against "
                f"{self.rejected_characters / self.pairs:.0f}"
            )
        return lines

"""Policy rows as token ids: the sampler's own where a row has them, otherwise encoded texts."""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from reward_model.text.chat import Message, TemplateInputs, Unencodable
from reward_model.text.encoding import Encoder, TooLong
from trainer.pairs.policy_row import PolicyAnswer, PolicyRow
from trainer.pipeline.progress import ProgressBar
from trainer.pipeline.stage import StageError

_ASKS = TemplateInputs(add_generation_prompt=True)


@dataclass(frozen=True, slots=True)
class EncodedAnswer:
    """An answer after its prompt.

    Attributes:
        id: that of its sample.
        ids: token ids, the end token included where the answer has one.
        log_probs: of each id under the sampler; empty where they are not known.
    """

    id: str
    ids: "array[int]"
    log_probs: "array[float]"


@dataclass(frozen=True, slots=True)
class EncodedPolicyRow:
    """A problem's chosen answer and its rejected ones.

    Attributes:
        id, group, source, ends, sampler, template: those of `PolicyRow`.
        prompt_ids: everything before an answer.
        refused: why the row has no ids; empty otherwise.
    """

    id: str
    group: str
    source: str
    prompt_ids: "array[int]"
    chosen: EncodedAnswer
    rejected: tuple[EncodedAnswer, ...]
    refused: str = ""
    ends: bool = True
    sampler: str = ""
    template: str = ""

    @property
    def answers(self) -> tuple[EncodedAnswer, ...]:
        """The chosen answer and then the rejected ones."""
        return (self.chosen, *self.rejected)


class PolicyEncoder:
    """Encodes rows for one policy.

    Args:
        encoder: of the policy's tokenizer; its limit is not used here.
        end_id: the token that ends an answer.
        vocabulary: rows of the policy's embedding.
    """

    def __init__(self, encoder: Encoder, end_id: int, vocabulary: int) -> None:
        self._encoder = encoder
        self.end_id = end_id
        self._vocabulary = vocabulary
        self._prompts: dict[str, array[int]] = {}

    def encode(
        self, rows: Iterable[PolicyRow], desc: str | None = None, *, exact: bool = True
    ) -> list[EncodedPolicyRow]:
        """Encode every row, in order.

        Args:
            exact: take the rows' own ids; otherwise encode all texts, for a model with another
                vocabulary.

        Raises:
            StageError: a row's own ids are none of this policy's.
        """
        shown = ProgressBar(rows, desc=desc, unit=" rows", disable=not desc)
        return [self._encode_row(row, exact=exact) for row in shown]

    def _encode_row(self, row: PolicyRow, *, exact: bool) -> EncodedPolicyRow:
        refused, prompt, answers = "", array("i"), []
        if exact:
            # Before they become an array, whose numbers are too small for some that files hold.
            for own in (row.prompt_ids, *(each.token_ids for each in (row.chosen, *row.rejected))):
                self._require_known(row, own)
        try:
            known = exact and row.prompt_ids
            prompt = array("i", row.prompt_ids) if known else self._prompt_ids(row.prompt)
            answers = [
                self._answer(row, answer, exact=exact) for answer in (row.chosen, *row.rejected)
            ]
        except (Unencodable, TooLong) as error:
            refused, answers = str(error), [EncodedAnswer("", array("i"), array("f"))]
        for ids in (prompt, *(answer.ids for answer in answers)):
            self._require_known(row, ids)
        chosen, *rejected = answers
        return EncodedPolicyRow(
            row.id,
            row.group,
            row.source,
            prompt,
            chosen,
            tuple(rejected),
            refused,
            row.ends,
            row.sampler,
            row.template,
        )

    def _require_known(self, row: PolicyRow, ids: Sequence[int]) -> None:
        """Raise StageError for a token id that the policy has no embedding of."""
        if ids and not 0 <= min(ids) <= max(ids) < self._vocabulary:
            strange = min(ids) if min(ids) < 0 else max(ids)
            raise StageError(
                f"row {row.id} has token id {strange}, and this model's ids are from 0 to "
                f"{self._vocabulary - 1}: its ids are another model's, so name the policy that "
                "sampled them as start"
            )

    def _prompt_ids(self, prompt: str) -> "array[int]":
        if prompt not in self._prompts:  # a problem has many rows
            ids = self._encoder.encode((Message("user", prompt),), inputs=_ASKS).ids
            self._prompts[prompt] = array("i", ids)
        return self._prompts[prompt]

    def _answer(self, row: PolicyRow, answer: PolicyAnswer, *, exact: bool) -> EncodedAnswer:
        if exact and answer.token_ids:
            if answer.log_probs and len(answer.log_probs) != len(answer.token_ids):
                raise StageError(
                    f"row {row.id}: answer {answer.id} has {len(answer.token_ids)} token ids and "
                    f"{len(answer.log_probs)} log-probs: write one for each id, or none"
                )
            ids, log_probs = array("i", answer.token_ids), array("f", answer.log_probs)
            return EncodedAnswer(answer.id, ids, log_probs)
        # A policy generates its answer after the prompt's last token, so no token joins the two.
        ids = array("i", self._encoder.literal_ids(answer.text))
        if row.ends:
            ids.append(self.end_id)
        return EncodedAnswer(answer.id, ids, array("f"))


def fitting_rows(
    rows: list[EncodedPolicyRow], max_length: int, counts: Counter[str]
) -> list[EncodedPolicyRow]:
    """Rows of which the chosen and some rejected answer can be trained on.

    Args:
        counts: gets the number of rows and answers that are left out, by reason.

    Raises:
        StageError: rows are given and none of them is left.
    """
    kept = [fit for row in rows if (fit := fitting_row(row, max_length, counts))]
    if rows and not kept:
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.most_common(3))
        raise StageError(
            f"none of the {len(rows)} rows can be trained on ({reasons}; max_length is "
            f"{max_length}): raise max_length or mend the pairs"
        )
    return kept


def fitting_row(
    row: EncodedPolicyRow, max_length: int, counts: Counter[str]
) -> EncodedPolicyRow | None:
    """A row without the answers that are too long, empty or no other than the chosen one.

    Nothing is cut. None if that leaves no pair.
    """
    limit = max_length - len(row.prompt_ids)
    if row.refused:
        counts["row: the chat template refuses it"] += 1
        return None
    if len(row.chosen.ids) > limit:
        counts["chosen: too long"] += 1
        return None
    if not row.chosen.ids or not row.prompt_ids:
        counts["chosen: empty"] += 1
        return None
    rejected = []
    for answer in row.rejected:
        if len(answer.ids) > limit:
            counts["rejected: too long"] += 1
        elif not answer.ids:
            counts["rejected: empty"] += 1
        elif answer.ids == row.chosen.ids:
            counts["rejected: the same tokens as the chosen"] += 1
        else:
            rejected.append(answer)
    if not rejected:
        counts["row: nothing rejected"] += 1
        return None
    return replace(row, rejected=tuple(rejected))

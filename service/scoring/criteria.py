"""Scores by criteria: what a model can be asked to judge by, and the sum of those scores.

A criterion is a system prompt that the release names. It is put before the conversation, so that
each criterion is a text of its own, and one request of three gives the scores of three requests.
Labels of a checkpoint whose head has several scores are asked for in the same way; one forward
gives all of them. This module knows neither engines nor the queue.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

from reward_model.release.calibration import Calibration
from reward_model.release.release import Release, ReleaseError
from reward_model.text.chat import Conversation
from reward_model.text.criteria import with_criterion
from service.errors import InvalidRequest
from service.scoring.types import AskedCriteria, Chat, Item, ItemScore, ScoringRequest
from service.scoring.weighted import weighted_score

_RENDERED = (
    "a criterion is a system turn before the conversation, and these texts are rendered or "
    "tokenized already: send messages or a prompt, or leave criteria out"
)

# Characters of an unknown name that are compared with the known ones, which takes quadratic time.
_COMPARED = 100

Scores = tuple[ItemScore, ...]
Group = tuple[Item, ...]


@dataclass(frozen=True)
class Criteria:
    """The criteria of a model, or its labels; a model has one kind of them, or none.

    Attributes:
        prompts: the system prompt of each criterion, by name.
        labels: the names of the head's scores, in their order; empty where it gives one.
        weights: those of a request that gives names alone.
        default: names and weights of a request that gives neither; empty for the plain score.
    """

    prompts: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    default: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, release: Release, chosen: Mapping[str, float]) -> "Criteria":
        """Return what a release has, with the operator's choice of weights.

        Args:
            chosen: replaces the release's default; empty keeps it.

        Raises:
            ReleaseError: it names prompts for a head of several labels, or a criterion without a
                prompt for a head of one; or the operator's choice names what it does not have.
        """
        labels = release.label_names if release.labels > 1 else ()
        for name, criterion in release.criteria.items():
            if labels and (criterion.prompt or name not in labels):
                raise ReleaseError(
                    f"{release.path}: the head has several labels, so its criteria are names of "
                    f"those without a prompt, and {name} is not: publish it again"
                )
            if not labels and not criterion.prompt:
                raise ReleaseError(
                    f"{release.path}: the criterion {name} has no prompt: publish it again with one"
                )
        known = labels or tuple(release.criteria)
        if unknown := [name for name in chosen if name not in known]:
            raise ReleaseError(
                f"{release.path}: --criteria names {unknown[0]}, and this model has "
                f"{', '.join(known) or 'no criteria'}"
            )
        weights = {name: criterion.weight for name, criterion in release.criteria.items()}
        default = default_weights(release)
        prompts = {} if labels else {name: one.prompt for name, one in release.criteria.items()}
        if labels and release.golden and not default:
            raise ReleaseError(
                f"{release.path / 'config.json'}: names {len(labels)} labels, and golden scores of "
                "the release are one number each: publish it again with weights of its labels "
                "(by_default)"
            )
        return cls(prompts, labels, {**weights, **chosen}, dict(chosen) or default)

    @property
    def names(self) -> tuple[str, ...]:
        return self.labels or tuple(self.prompts)

    def weights_of(self, asked: AskedCriteria | None) -> dict[str, float]:
        """Return the names and weights of a request; none of them asks for the plain score.

        Raises:
            InvalidRequest: the model does not have what is asked for, or no weight for it.
        """
        if asked is None and (self.default or not self.labels):
            return dict(self.default)
        if not asked:
            if not self.labels:
                return {}
            raise _invalid(
                f"this model gives a score for each of its labels ({', '.join(self.labels)}) and "
                "has no weights to add them up: send criteria with a weight for each label that "
                f'counts, such as {{"{self.labels[0]}": 1.0}}, or start the server with --criteria'
            )
        if not self.names:
            raise _invalid(
                "this model has no criteria (/v1/models lists those of each): leave criteria out, "
                "or ask for a model whose release names some"
            )
        for name in asked:
            if name not in self.names:
                near = get_close_matches(name[:_COMPARED], self.names, 1)
                hint = f"; the nearest is {near[0]}" if near else ""
                raise _invalid(
                    f"criteria has a name that this model does not know{hint}: it has "
                    f"{', '.join(self.names)}"
                )
        if isinstance(asked, Mapping):
            return dict(asked)
        if len(set(asked)) < len(asked):
            raise _invalid("criteria names one twice")
        if missing := [name for name in asked if name not in self.weights]:
            raise _invalid(
                f"criteria has no weight for {missing[0]}, and neither has the release: send an "
                f'object such as {{"{missing[0]}": 1.0}}'
            )
        return {name: self.weights[name] for name in asked}

    def spread(self, request: ScoringRequest, weights: Mapping[str, float]) -> ScoringRequest:
        """Return the request with a group of items for each criterion, in place of each group.

        Labels need no texts of their own. Texts that are rendered already stay as they are where
        the criteria are the model's default: whoever renders a text decides what it says.

        Raises:
            InvalidRequest: the request itself asks for criteria of rendered texts.
        """
        if not weights or self.labels:
            return request
        groups: list[Group] = []
        for group in request.inputs:
            if _is_chat(group):
                groups += (tuple(_with_prompt(group, self.prompts[name])) for name in weights)
            elif request.criteria is None:
                groups.append(group)
            else:
                raise _invalid(_RENDERED)
        return replace(request, inputs=tuple(groups))

    def join(
        self, request: ScoringRequest, weights: Mapping[str, float], scored: Iterable[Scores]
    ) -> tuple[Scores, ...]:
        """Undo `spread`: one weighted score for each item of the request.

        Args:
            scored: for each group of the request the scores by each criterion or label.
        """
        columns = iter(scored)
        joined: list[Scores] = []
        for group in request.inputs:
            if not weights or not (self.labels or _is_chat(group)):
                joined.append(next(columns))
                continue
            rows = zip(*(next(columns) for _ in weights), strict=True)
            one_text = bool(self.labels)
            joined.append(tuple(weighted_score(weights, row, one_text=one_text) for row in rows))
        return tuple(joined)


def default_weights(release: Release) -> dict[str, float]:
    """The weights of a release's criteria by which a request is scored that names none."""
    return {name: one.weight for name, one in release.criteria.items() if one.by_default}


def calibrated(groups: tuple[Scores, ...], calibration: Calibration) -> tuple[Scores, ...]:
    """Normalize sums of labels, which a calibration knows for the release's own weights alone."""
    return tuple(
        tuple(
            item if item.raw is None else replace(item, normalized=calibration.apply(item.raw))
            for item in group
        )
        for group in groups
    )


def _invalid(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="criteria")


def _is_chat(group: Group) -> bool:
    return all(isinstance(item, Chat) for item in group)


def _with_prompt(group: Group, prompt: str) -> Iterator[Item]:
    """Yield the items of a group under a criterion; their turns stay one tuple, as they were."""
    before: Conversation | None = None
    turns: Conversation = ()
    for item in group:
        assert isinstance(item, Chat)
        if item.prompt is not before:
            before, turns = item.prompt, with_criterion(item.prompt, prompt)
        yield replace(item, prompt=turns)

"""Commits -> functions before and after, with the fate of everything that was left out.

Every commit ends in exactly one count of `commits`, every changed file of a commit that is looked
into in one of `files`, and every changed function in one of `functions`.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from trainer.corpus.languages import language_of
from trainer.corpus.licenses import LicenseAllowList
from trainer.corpus.quality import QualityConfig, reason_by_path, reason_to_skip
from trainer.corpus.sources.source import SourceFile
from trainer.history import messages
from trainer.history.commit import Commit, FileChange
from trainer.history.functions import Function, Meaning, functions, has_functions, meaning
from trainer.history.git import BlobReader
from trainer.history.hold_out import FileNames
from trainer.history.license import STATED


@dataclass(frozen=True, kw_only=True)
class ChangeLimits:
    """Limits beyond which a commit or a function is left out.

    Attributes:
        languages: languages to read; empty reads all that can be cut into functions here.
        message_pattern: a regular expression that a message must match, such as `(?i)fix|bug`.
        max_message: characters of a message.
        max_files: files of code that a commit changes. What changes many files is about more than
            any one of its functions.
        max_functions: functions that a commit changes.
        max_changed_lines: lines of a function that are added or removed.
        max_characters: characters of a function, before and after.
        quality: limits beyond which a file is left out.
    """

    languages: tuple[str, ...] = ()
    message_pattern: str = ""
    max_message: int = 1500
    max_files: int = 8
    max_functions: int = 4
    max_changed_lines: int = 30
    max_characters: int = 2500
    quality: QualityConfig = field(default_factory=QualityConfig)


@dataclass(frozen=True)
class FunctionChange:
    """A function before and after a commit."""

    path: str
    language: str
    before: Function
    after: Function
    before_meaning: Meaning
    after_meaning: Meaning


@dataclass
class HistoryCounts:
    """Fates of commits, of their files, of changed functions, of today's functions, and of rows."""

    commits: Counter[str] = field(default_factory=Counter)
    files: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)
    today: Counter[str] = field(default_factory=Counter)
    rows: Counter[str] = field(default_factory=Counter)

    def facts(self) -> dict[str, dict[str, int]]:
        """The counts as they stand in the manifest."""
        return {name: dict(sorted((+counts).items())) for name, counts in vars(self).items()}


class History:
    """Reads commits newest first, so that what takes a change back is known before the change.

    Args:
        allowed: decides on licenses that files state themselves; None allows all.
        names: learns the renames of all commits.
    """

    def __init__(
        self,
        limits: ChangeLimits,
        allowed: LicenseAllowList | None,
        blobs: BlobReader,
        names: FileNames,
    ) -> None:
        self.counts = HistoryCounts()
        self._limits, self._allowed, self._blobs, self._names = limits, allowed, blobs, names
        self._languages = {language_of(name, "") for name in limits.languages}
        self._pattern = re.compile(limits.message_pattern)
        self._reverted: set[str] = set()
        # File, function and meaning of each version that a newer change has led to.
        self._later: set[tuple[str, str, str]] = set()
        self._seen: set[tuple[str, str]] = set()

    def changes(self, commit: Commit) -> tuple[str, list[FunctionChange]]:
        """The commit's message without people, and the changes that it is a request for."""
        for change in commit.changes:
            if change.status == "R":
                self._names.rename(change.before, change.after)
        message = messages.without_people(commit.message, commit.people)
        reason = self._reason_to_skip(commit, message)
        found: list[tuple[FunctionChange, str]] = []
        # Reverts are looked into as well: they tell which versions were taken back.
        if reason in (None, "revert"):
            code = [change for change in commit.changes if self._is_code(change)]
            if len(code) > self._limits.max_files:
                reason = reason or "too many files"
            else:
                found = [each for change in code for each in self._functions_of(change)]
                reason = reason or self._reason_by_code(code, found)
        self.counts.commits[reason or "used"] += 1
        for _, function_reason in found:
            self.counts.functions[function_reason or reason or "kept"] += 1
        kept = [change for change, function_reason in found if not function_reason]
        return message, [] if reason else kept

    def _reason_to_skip(self, commit: Commit, message: str) -> str | None:
        """Why a commit makes no pairs, as its people and its message tell."""
        if commit.is_merge:
            return "merge"
        if any(commit.id[:length] in self._reverted for length in range(7, len(commit.id) + 1)):
            return "reverted later"
        if messages.is_revert(message):
            self._reverted.update(messages.reverted_ids(commit.message))
            return "revert"
        if messages.is_bot(commit.people):
            return "bot"
        if not self._pattern.search(message):
            return "message does not match"
        return messages.reason_to_skip(message, self._limits.max_message)

    def _reason_by_code(
        self, code: list[FileChange], found: list[tuple[FunctionChange, str]]
    ) -> str | None:
        """Why a commit makes no pairs, as its changes tell."""
        if not code:
            return "no code changed"
        if len(found) > self._limits.max_functions:
            return "too many functions"
        return None if any(not reason for _, reason in found) else "no function to learn from"

    def _is_code(self, change: FileChange) -> bool:
        """Whether a file may hold changed functions, as its path and its kind tell."""
        language = language_of("", change.after)
        reason = None
        if change.status in "AD":
            reason = "added" if change.status == "A" else "deleted"
        elif not language or not change.is_file:
            reason = "not code"
        elif self._languages and language not in self._languages:
            reason = f"language: {language}"
        elif not has_functions(language):
            reason = f"cannot be cut into functions: {language}"
        elif change.before_id == change.after_id:
            reason = "renamed only"
        else:
            reason = reason_by_path(change.after, self._limits.quality)
        if reason:
            self.counts.files[reason] += 1
        return reason is None

    def _functions_of(self, change: FileChange) -> list[tuple[FunctionChange, str]]:
        """Functions of a file that differ in more than layout, each with the reason against it."""
        limit = self._limits.quality.max_characters
        before = self._blobs.text(change.before_id, limit)
        after = self._blobs.text(change.after_id, limit)
        language = language_of("", change.after, after or "")
        reason = "no text, or too large"
        versions: list[dict[str, Function] | None] = []
        if before is not None and after is not None:
            stated = STATED.search(after)
            license_ = stated[1].strip() if stated else ""
            file = SourceFile(after, change.after, "", license_)
            reason = reason_to_skip(file, self._limits.quality) or ""
            if license_ and self._allowed and not self._allowed.permits(license_):
                reason = f"license: {license_}"
            if not reason:
                versions = [functions(text, language) for text in (before, after)]
                reason = "does not parse" if None in versions else "read"
        self.counts.files[reason] += 1
        if reason != "read":
            return []
        old, new = (version or {} for version in versions)
        both = [
            self._compared(change, language, old[name], new[name])
            for name in new
            if name in old and old[name].text != new[name].text
        ]
        return [each for each in both if each is not None]

    def _compared(
        self, change: FileChange, language: str, before: Function, after: Function
    ) -> tuple[FunctionChange, str] | None:
        """The change of a function and the reason against it; None, and counted, if it is none."""
        old, new = meaning(before.text, language), meaning(after.text, language)
        if old is None or new is None or old.code == new.code:
            unknown = old is None or new is None
            fate = "does not parse alone" if unknown else "layout, comments or annotations only"
            self.counts.functions[fate] += 1
            return None
        if old.shape == new.shape:
            self.counts.functions["local names only"] += 1
            return None
        file, limits = self._names.last(change.after), self._limits
        matcher = SequenceMatcher(None, before.text.splitlines(), after.text.splitlines(), False)
        steps = [step for step in matcher.get_opcodes() if step[0] != "equal"]
        changed = sum((end - start) + (to - at) for _, start, end, at, to in steps)
        reason = after.reason or before.reason
        if max(len(before.text), len(after.text)) > limits.max_characters:
            reason = reason or "too long"
        elif changed > limits.max_changed_lines:
            reason = reason or "change too large"
        elif (file, after.name, old.code) in self._later:
            reason = reason or "taken back later"
        elif (old.code, new.code) in self._seen:
            reason = reason or "duplicate"
        self._later.add((file, after.name, new.code))
        self._seen.add((old.code, new.code))
        return FunctionChange(change.after, language, before, after, old, new), reason

"""The options of the command `train`, and what follows from them alone."""

import dataclasses
import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from reward_model.release.release import sha256
from trainer.autoconfig.record import Asked
from trainer.pipeline.stage import StageError


@dataclass(frozen=True)
class TrainRequest:
    """The options of one command.

    Attributes:
        out: folder of the run; empty for one in `work` that is named after the data.
        columns: `FIELD=COLUMN`, for columns with other names.
        settings: `STAGE.FIELD=VALUE`, as `--set` takes them.
        max_pairs: pairs of one prompt; None chooses by the device.
        hours: bound of the estimated time, 0 for none; None is an hour on a CPU, none on a GPU.
    """

    base: str
    data: str
    eval: str = ""
    out: str = ""
    format: str = ""
    columns: tuple[str, ...] = ()
    max_steps: int | None = None
    max_pairs: int | None = None
    hours: float | None = None
    settings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise StageError for numbers that mean nothing."""
        if self.max_pairs is not None and self.max_pairs < 1:
            raise StageError(f"--max-pairs {self.max_pairs}: it must be 1 or more")
        if self.hours is not None and not 0 <= self.hours < float("inf"):
            raise StageError(f"--hours {self.hours}: it must be 0 or more")

    @property
    def folder(self) -> Path:
        """The run's folder, wherever the user stands later."""
        if self.out:
            return Path(self.out).expanduser().resolve()
        return Path("work", f"train-{stem(self.data)}").resolve()

    @property
    def overrides(self) -> list[str]:
        """All fields that the user sets, as `--set` takes them."""
        steps = [] if self.max_steps is None else [f"finetune.max_steps={self.max_steps}"]
        return [*self.settings, *steps]

    @property
    def named_columns(self) -> dict[str, str]:
        """Columns by the fields of a format.

        Raises:
            StageError: one is written in another way.
        """
        named = {}
        for each in self.columns:
            field, equals, column = each.partition("=")
            if not (field and equals and column):
                raise StageError(
                    f"--column {each}: write FIELD=COLUMN, as in --column prompt=question"
                )
            named[field] = column
        return named

    @property
    def command(self) -> str:
        """The command that makes the release again."""
        words = ["scripts/train", "--base", self.base, "--data", self.data]
        for option, value in (
            ("--eval", self.eval),
            ("--out", self.out),
            ("--format", self.format),
            *(("--column", each) for each in self.columns),
            ("--max-steps", self.max_steps),
            ("--max-pairs", self.max_pairs),
            ("--hours", self.hours),
            *(("--set", each) for each in self.settings),
        ):
            if value not in ("", None):
                words += [option, f"{value}"]
        return shlex.join(words)

    def asked(self) -> Asked:
        """What must be the same for a run to go on.

        Raises:
            StageError: a file is not there.
        """
        fields: Asked = dataclasses.asdict(self)
        del fields["out"]
        base = Path(self.base).expanduser()
        fields["base"] = str(base.resolve()) if base.exists() else self.base
        for option in ("data", "eval"):
            if named := getattr(self, option):
                path = existing(named, f"--{option}")
                fields[option] = str(path)
                fields[f"contents of {option}"] = sha256(path)
        plain: Asked = json.loads(json.dumps(fields))  # tuples become lists, as in the record
        return plain


def stem(file: str) -> str:
    """A file's name without its endings, in letters that a folder and a release may have."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", Path(file).name.split(".")[0]).strip("-_") or "data"


def existing(file: str, option: str) -> Path:
    """The absolute path of a file that the user names.

    Raises:
        StageError: there is none.
    """
    path = Path(file).expanduser().resolve()
    if not path.is_file():
        what = "is a folder: name a file in it" if path.is_dir() else "is not there"
        raise StageError(f"{option} {file} {what}")
    return path

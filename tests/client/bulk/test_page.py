"""The commands that docs/bulk.md shows, as they stand: samples to scores, pairs, and TRL's DPO."""

import json
import re
import runpy
import shlex
from pathlib import Path

import pytest
from datasets import load_dataset

from codepmp_client.bulk import cli
from tests.client.servers import service
from tests.trainer.policy.policies import make_policy

PAGE = Path(__file__).resolve().parents[3] / "docs/bulk.md"

# What makes the training on the page small.
OUTPUT = 'output_dir="policy"'
SMALL = (
    'output_dir="policy", max_steps=2, per_device_train_batch_size=2, '
    'report_to="none", use_cpu=True, bf16=False, gradient_checkpointing=False, disable_tqdm=True'
)


def blocks(language: str, word: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    return [block for block in found if word in block]


# TRL says gradient_checkpointing where transformers now says activation_checkpointing.
@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.* is deprecated:FutureWarning")
def test_dpo_data_in_three_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (shown,) = blocks("json", "candidates")
    prompts = [f"Reverse {word}." for word in ("a string", "a list", "a tuple")]
    rows = [json.loads(shown) | {"prompt": prompt} for prompt in prompts]
    Path("samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (commands,) = blocks("bash", "codepmp-score pairs")
    score, pair, train = commands.splitlines()
    with service() as (url, _):
        program, *arguments = shlex.split(score.replace("http://127.0.0.1:8000", url))
        assert (program, cli.main(arguments)) == ("codepmp-score", 0)
    program, *arguments = shlex.split(pair)
    assert (program, cli.main(arguments)) == ("codepmp-score", 0)
    data = load_dataset("json", data_files="pairs.jsonl", split="train")
    assert len(data) == len(prompts)
    assert data[0]["prompt"] == [{"role": "user", "content": prompts[0]}]

    assert train == "python dpo.py"
    (code,) = blocks("python", "# dpo.py")
    model = make_policy(tmp_path / "model")
    Path("dpo.py").write_text(code.replace("MODEL", str(model)).replace(OUTPUT, SMALL))
    trainer = runpy.run_path("dpo.py")["trainer"]
    assert trainer.state.global_step == 2
    assert len(trainer.train_dataset) == len(prompts)


def test_the_function_that_the_page_shows_scores_rows(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python", "import score_records")
    with service() as (url, _):
        exec(code.replace("http://127.0.0.1:8000", url), {})  # noqa: S102 - it is our own page
    assert "'model': 'fake-rm', 'version': '1.2'" in capsys.readouterr().out

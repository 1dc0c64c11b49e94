"""Training jobs start what the trainer knows, with as many processes and workers as there are."""

import shlex

import pytest

from tests.k8s.rendering import (
    ROOT,
    SANDBOXED,
    TRAINING,
    at,
    containers,
    integer_at,
    items_at,
    labels_at,
    one_of_kind,
    pod_templates,
    rendered,
    selects,
    template_of,
    text_at,
)
from trainer.cli import parser
from trainer.pipeline.overrides import overridden
from trainer.recipes import open_recipe
from trainer.synthesis.completions import EngineConfig

GPU = "nvidia.com/gpu"


def test_torchrun_meets_where_the_job_listens() -> None:
    objects = rendered("training/torchrun")
    job, service = one_of_kind(objects, "Job"), one_of_kind(objects, "Service")
    (trainer,) = containers(template_of(job))
    arguments = at(trainer, "args")
    assert isinstance(arguments, list)
    name, domain = text_at(job, "metadata", "name"), text_at(service, "metadata", "name")
    assert f"--master-addr={name}-0.{domain}" in arguments
    assert text_at(job, "spec", "template", "spec", "subdomain") == domain
    assert f"--nnodes={at(job, 'spec', 'completions')}" in arguments
    assert f"--nproc-per-node={at(trainer, 'resources', 'limits', 'nvidia.com/gpu')}" in arguments
    assert f"--master-port={at(trainer, 'ports', 0, 'containerPort')}" in arguments
    labels = labels_at(job, "spec", "template", "metadata", "labels")
    assert selects(labels_at(service, "spec", "selector"), labels)


def commands() -> dict[str, list[str]]:
    """What follows `python -m trainer`, by folder."""
    (torchrun,) = containers(template_of(one_of_kind(rendered("training/torchrun"), "Job")))
    trainjob = one_of_kind(rendered("training/trainjob"), "TrainJob")
    rayjob = one_of_kind(rendered("training/synthesis"), "RayJob")
    lines = {
        "torchrun": at(torchrun, "args"),
        "trainjob": at(trainjob, "spec", "trainer", "args"),
        "synthesis": shlex.split(text_at(rayjob, "spec", "entrypoint")),
    }
    return {name: after_trainer(line) for name, line in lines.items()}


def after_trainer(line: object) -> list[str]:
    assert isinstance(line, list)
    begin = line.index("trainer")
    assert line[begin - 1] == "-m"
    return line[begin + 1 :]


@pytest.mark.parametrize("folder", TRAINING)
def test_the_trainer_knows_the_stage_and_every_option(folder: str) -> None:
    options = parser().parse_args(commands()[folder])
    assert options.command in open_recipe(options.recipe).stages
    overridden(open_recipe(options.recipe), options.set)


@pytest.mark.parametrize("folder", TRAINING)
def test_it_works_on_the_volume(folder: str) -> None:
    work = str(parser().parse_args(commands()[folder]).work)
    for template in pod_templates(rendered(f"training/{folder}")):
        for container in containers(template):
            mounts = items_at(container, "volumeMounts")
            assert [one["name"] for one in mounts if one["mountPath"] == work] == ["work"]


def test_a_trainjob_has_a_process_for_each_gpu() -> None:
    job = one_of_kind(rendered("training/trainjob"), "TrainJob")
    gpus = at(job, "spec", "trainer", "resourcesPerNode", "limits", GPU)
    assert str(integer_at(job, "spec", "trainer", "numProcPerNode")) == gpus


def test_synthesis_asks_through_the_cluster_with_all_its_workers() -> None:
    options = parser().parse_args(commands()["synthesis"])
    recipe = overridden(open_recipe(options.recipe), options.set)
    (group,) = items_at(
        one_of_kind(rendered("training/synthesis"), "RayJob"),
        "spec",
        "rayClusterSpec",
        "workerGroupSpecs",
    )
    workers = integer_at(group, "replicas")
    assert recipe["describe"].config.llm.engine == EngineConfig("ray", workers, "auto")


def test_ray_is_of_the_version_that_the_image_has() -> None:
    rayjob = one_of_kind(rendered("training/synthesis"), "RayJob")
    version = text_at(rayjob, "spec", "rayClusterSpec", "rayVersion")
    assert f"ray=={version}" in (ROOT / "constraints.txt").read_text().splitlines()


def test_feedback_tries_its_walls_before_it_runs_programs() -> None:
    job = one_of_kind(rendered(SANDBOXED), "Job")
    walls, trainer = containers(template_of(job))
    assert after_trainer(at(walls, "args")) == ["sandbox"]
    options = parser().parse_args(after_trainer(at(trainer, "args")))
    stages = open_recipe(options.recipe).between(options.first, options.last)
    assert [name for name in stages if name.startswith("runs")] == ["runs_1"]
    mounts = items_at(trainer, "volumeMounts")
    assert [each["name"] for each in mounts if each["mountPath"] == str(options.work)] == ["work"]

from trainer.planning.gpus import GPUS, Devices


def test_the_speed_of_devices_is_their_peak_times_the_share_that_is_reached() -> None:
    assert Devices(GPUS["h200"], 8, 0.4).flops == 8 * 0.4 * 989e12


def test_every_gpu_has_memory_to_check_and_the_cpu_has_none() -> None:
    assert [name for name, gpu in GPUS.items() if gpu.memory is None] == ["cpu"]

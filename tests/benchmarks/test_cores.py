import pytest

from benchmarks.cores import Layout, amdahl, layouts, modelled_rate


def test_all_cores_are_tried_in_one_process_and_in_several() -> None:
    assert [str(layout) for layout in layouts(1)] == ["1 x 1"]
    assert [str(layout) for layout in layouts(2)] == ["1 x 1", "1 x 2", "2 x 1"]
    assert [str(layout) for layout in layouts(12)] == [
        *("1 x 1", "1 x 2", "1 x 4", "1 x 8", "1 x 12"),
        *("2 x 6", "4 x 3", "8 x 1"),
    ]


@pytest.mark.parametrize("serial", [0.0, 0.1, 0.5])
def test_the_serial_part_is_found_and_bounds_the_speed(serial: float) -> None:
    def seconds(threads: int) -> float:
        return 0.001 * (serial + (1 - serial) / threads)

    found = amdahl([Layout(1, threads, [1 / seconds(threads)]) for threads in (1, 2, 4)])
    assert found.worst < 1e-9
    for threads in (1, 8, 64):
        assert modelled_rate(found, threads) == pytest.approx(1 / seconds(threads))


def test_noise_promises_no_more_than_linear_growth() -> None:
    found = amdahl([Layout(1, 1, [100.0]), Layout(1, 2, [230.0])])
    assert modelled_rate(found, 64) / modelled_rate(found, 1) == pytest.approx(64)

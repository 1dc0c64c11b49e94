from pathlib import Path

from benchmarks.bulk import Watched, watch_memory


def test_a_generated_file_is_scored_whole_while_memory_is_watched(tmp_path: Path) -> None:
    watched = watch_memory(tmp_path, 1500)
    assert watched.rows == 1500
    assert watched.peak(0.0, 1.0) > 0


def test_the_peak_is_that_of_a_part_of_the_run() -> None:
    watched = Watched(
        rows=1, seconds=10.0, samples=[(0.0, 1.0), (1.0, 7.0), (5.0, 3.0), (10.0, 2.0)]
    )
    assert watched.peak(0.0, 0.1) == 7
    assert watched.peak(0.2, 1.0) == 3

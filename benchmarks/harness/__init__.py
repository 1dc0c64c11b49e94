"""The parts that programs share: processes, load, statistics and the result page."""

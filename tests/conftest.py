import os

from hypothesis import settings

# What is compared with a plain forward is compared on one device; tests of a GPU name it.
os.environ["REWARD_DEVICE"] = "cpu"

# Timings belong in benchmarks/: a busy machine must not fail a property.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

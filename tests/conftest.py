import os
import signal

from hypothesis import settings

# What is compared with a plain forward is compared on one device; tests of a GPU name it.
os.environ["REWARD_DEVICE"] = "cpu"

# Timings belong in benchmarks/: a busy machine must not fail a property.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# `nohup` and a shell's background jobs ignore these, and processes that tests start and then
# interrupt would inherit that.
for _each, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_each) is signal.SIG_IGN:
        signal.signal(_each, _handler)

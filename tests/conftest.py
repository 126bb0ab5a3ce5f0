"""Hypothesis profiles, and one thread for numeric libraries, so that tests are alike on every machine."""

import os
import signal

os.environ["OMP_NUM_THREADS"] = "1"

from hypothesis import Phase, Verbosity, settings

# Every field is set: Hypothesis has a profile of its own for machines that run CI, and would fill in from that.
settings.register_profile(
    "ci",
    max_examples=50,
    derandomize=True,
    database=None,
    deadline=None,
    phases=tuple(Phase),
    print_blob=False,
    report_multiple_bugs=True,
    stateful_step_count=20,
    suppress_health_check=(),
    verbosity=Verbosity.normal,
)
settings.register_profile("nightly", settings.get_profile("ci"), max_examples=2000, derandomize=False, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

# What is started in the background of a shell is deaf to Ctrl-C, and so would be what the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

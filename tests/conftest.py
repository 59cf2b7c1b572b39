"""Settings of all tests."""

import signal

from hypothesis import HealthCheck, settings

# Absolute times are noise: beside other work hypothesis would find examples late and their making slow.
settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

# Who starts a shell's background job has SIGINT ignored, and so would the commands that are to be interrupted.
signal.signal(signal.SIGINT, signal.default_int_handler)

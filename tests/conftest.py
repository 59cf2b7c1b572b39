"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# Absolute times are noise: beside other work hypothesis would find examples late and their making slow.
settings.register_profile("unhurried", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

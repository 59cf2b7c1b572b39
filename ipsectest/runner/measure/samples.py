"""What a measurement yields: numbers in SI base units, each with labels that tell it from its like."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import quantiles


@dataclass(frozen=True, slots=True)
class Metric:
    """What a number means."""

    unit: str
    help: str


METRICS = {
    "round_trip_seconds": Metric(
        "s", "ICMP echo between the protected hosts; without IPsec between the same, or the outer addresses at a NAT"
    ),
    "throughput_bits_per_second": Metric("bit/s", "TCP payload in one stream, as iperf3 counts it"),
    "handshake_seconds": Metric("s", "IKE_SA_INIT and IKE_AUTH until both ends have the first Child SA"),
    "ike_sa_setup_per_second": Metric("1/s", "IKE SAs with a Child SA each, all started at once"),
    "child_sa_setup_per_second": Metric("1/s", "CREATE_CHILD_SA exchanges one after the other in one IKE SA"),
    "install_seconds": Metric("s", "one outbound SA and its policy, by ip -batch, mean of so many"),
    "flood_round_trip_seconds": Metric(
        "s", "ICMP echo one after the other, mean, through the SA in the middle of so many"
    ),
    "first_seal_seconds": Metric("s", "one packet of 1,400 octets from the policy lookup to the ESP packet, new flow"),
    "seal_seconds": Metric("s", "one such packet of a flow whose SA is remembered"),
    "open_seconds": Metric("s", "one such ESP packet, from the SA lookup to the inner packet"),
    "bypass_seconds": Metric("s", "one such packet that the last of so many policies lets pass in clear"),
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One number."""

    metric: str
    """A name of ``METRICS``."""
    value: float
    ipsec: bool
    """Whether through a tunnel."""
    labels: dict[str, str] = field(default_factory=dict)
    """Such as ``quantile`` or ``sas``, without those of the whole run."""


def spread(metric: str, values: Sequence[float], *, ipsec: bool) -> Iterable[Sample]:
    """Median and 95th percentile of repeated measurements."""
    if len(values) < 2:
        values = [*values, *values]
    cuts = quantiles(values, n=20, method="inclusive") if values else []
    for label, cut in (("0.5", 9), ("0.95", 18)):
        if cuts:
            yield Sample(metric, cuts[cut], ipsec, {"quantile": label})

"""Measurements as a table, JSON and Prometheus text."""

import io
import json
import re

from rich.console import Console

from ipsectest.report.measurements import table, to_json, to_prometheus
from ipsectest.runner.measure.samples import Sample

SAMPLES = [
    Sample("round_trip_seconds", 0.0005, ipsec=True, labels={"quantile": "0.5"}),
    Sample("round_trip_seconds", 0.00005, ipsec=False, labels={"quantile": "0.5"}),
    Sample("throughput_bits_per_second", 6.34e7, ipsec=True),
    Sample("ike_sa_setup_per_second", 440.0, ipsec=True),
]
RUN = {"topology": 'a "quoted"\\name\n'}


def test_a_row_has_both_ways_and_their_ratio() -> None:
    out = io.StringIO()
    Console(file=out, width=100).print(table(SAMPLES))
    rows = [line.split() for line in out.getvalue().splitlines()]
    assert ["round", "trip", "quantile", "0.5", "500", "µs", "50", "µs", "10"] in rows
    assert ["throughput", "63.4", "Mbit/s"] in rows
    assert ["ike", "sa", "setup", "440.0", "/s"] in rows


def test_json_keeps_every_number() -> None:
    document = json.loads(to_json(SAMPLES, RUN))
    assert document["run"] == RUN
    assert [row["value"] for row in document["samples"]] == [sample.value for sample in SAMPLES]
    assert document["samples"][1] == {
        "metric": "round_trip_seconds",
        "unit": "s",
        "ipsec": False,
        "labels": {"quantile": "0.5"},
        "value": 0.00005,
    }
    (ratio,) = document["ratios"]
    assert (ratio["metric"], ratio["labels"], round(ratio["value"], 9)) == (
        "round_trip_seconds", {"quantile": "0.5"}, 10.0,
    )  # fmt: skip


def test_prometheus_text_has_each_metric_once_and_escapes_labels() -> None:
    text = to_prometheus(SAMPLES, RUN)
    assert text.endswith("\n")
    assert text.count("# TYPE ipsectest_round_trip_seconds gauge\n") == 1
    line = re.compile(r'ipsectest_\w+\{(\w+="(\\.|[^"\\\n])*",?)+\} [\d.e+-]+')
    numbers = [each for each in text.splitlines() if not each.startswith("#")]
    assert len(numbers) == len(SAMPLES)
    assert all(line.fullmatch(each) for each in numbers)
    assert r'topology="a \"quoted\"\\name\n",ipsec="no",quantile="0.5"} 5e-05' in text

"""Measurements as a table, as JSON and as Prometheus text."""

import json
from collections.abc import Mapping, Sequence

from rich.table import Table

from ipsectest.runner.measure.samples import METRICS, Sample

_PREFIX = "ipsectest_"
_NAMES = {
    "first_seal_seconds": "engine: seal, new flow,",
    "seal_seconds": "engine: seal, known flow,",
    "open_seconds": "engine: open,",
    "bypass_seconds": "engine: let pass in clear,",
}
"""Rows whose metric alone does not tell that no network takes part."""
_SCALES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))

Labels = Mapping[str, str]


def table(samples: Sequence[Sample]) -> Table:
    """One row for what was measured with IPsec, without, or both ways."""
    made = Table(box=None, pad_edge=False)
    for heading in ("measured", "with IPsec", "without", "ratio"):
        made.add_column(heading, justify="left" if heading == "measured" else "right")
    for metric, labels, values in _pairs(samples):
        unit, which = METRICS[metric].unit, " ".join(f"{name} {value}" for name, value in labels.items())
        shown = [_scaled(values[ipsec], unit) if ipsec in values else "" for ipsec in (True, False)]
        share = _ratio(values)
        ratio = "" if share is None else f"{share:.3g}"
        plain = metric.removesuffix("_seconds").removesuffix("_bits_per_second").removesuffix("_per_second")
        name = _NAMES.get(metric, plain)
        made.add_row(f"{name.replace('_', ' ')} {which}".strip(), *shown, ratio)
    return made


def to_json(samples: Sequence[Sample], run: Labels) -> str:
    """``{"run": {...}, "samples": [{"metric", "unit", "ipsec", "labels", "value"}, ...], "ratios": [...]}``.

    A ratio has ``metric``, ``labels``, and as ``value`` what was measured with IPsec over what was without.
    """
    rows = [
        {
            "metric": sample.metric,
            "unit": METRICS[sample.metric].unit,
            "ipsec": sample.ipsec,
            "labels": sample.labels,
            "value": sample.value,
        }
        for sample in samples
    ]
    ratios = [
        {"metric": metric, "labels": labels, "value": share}
        for metric, labels, values in _pairs(samples)
        if (share := _ratio(values)) is not None
    ]
    return json.dumps({"run": dict(run), "samples": rows, "ratios": ratios}, indent=2)


def to_prometheus(samples: Sequence[Sample], run: Labels) -> str:
    """The text exposition format 0.0.4: gauges, each with the labels of the run."""
    lines = []
    for metric, meaning in METRICS.items():
        found = [sample for sample in samples if sample.metric == metric]
        if found:
            lines += [f"# HELP {_PREFIX}{metric} {meaning.help}", f"# TYPE {_PREFIX}{metric} gauge"]
        for sample in found:
            labels = {**run, "ipsec": "yes" if sample.ipsec else "no", **sample.labels}
            text = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
            lines.append(f"{_PREFIX}{metric}{{{text}}} {sample.value!r}")
    return "\n".join([*lines, ""])


def _pairs(samples: Sequence[Sample]) -> list[tuple[str, Labels, dict[bool, float]]]:
    """What was measured with IPsec (True) and without (False) of the same, in the order measured."""
    found: dict[tuple[str, tuple[tuple[str, str], ...]], dict[bool, float]] = {}
    for sample in samples:
        found.setdefault((sample.metric, tuple(sample.labels.items())), {})[sample.ipsec] = sample.value
    return [(metric, dict(labels), values) for (metric, labels), values in found.items()]


def _ratio(values: Mapping[bool, float]) -> float | None:
    return values[True] / values[False] if len(values) == 2 and values[False] else None


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _scaled(value: float, unit: str) -> str:
    if unit == "1/s":
        return f"{value:.1f} /s"
    scale, prefix = next(((s, p) for s, p in _SCALES if abs(value) >= s), _SCALES[-1])
    return f"{value / scale:.3g} {prefix}{unit}"

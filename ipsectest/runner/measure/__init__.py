"""Measuring what IPsec costs: the same network in the same run, with a tunnel and without."""

from ipsectest.runner.measure.bench import Bench, Plan, measure
from ipsectest.runner.measure.samples import METRICS, Metric, Sample

__all__ = ["METRICS", "Bench", "Metric", "Plan", "Sample", "measure"]

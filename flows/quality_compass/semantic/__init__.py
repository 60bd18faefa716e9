"""Metric queries: the question, the layer that answers it, and why it does not."""

from flows.quality_compass.semantic.layer import Answer, SemanticLayer
from flows.quality_compass.semantic.refusals import (
    MetricQueryError,
    MetricsUnreachableError,
    MetricTimeoutError,
)
from flows.quality_compass.semantic.requests import MetricsRequest

__all__ = [
    "Answer",
    "MetricQueryError",
    "MetricTimeoutError",
    "MetricsRequest",
    "MetricsUnreachableError",
    "SemanticLayer",
]

"""The flows of Quality Compass. Deployments name them here."""

from flows.quality_compass.flow.metrics import query_metrics
from flows.quality_compass.flow.runs import RunsRequest, disagreements, refresh

__all__ = ["RunsRequest", "disagreements", "query_metrics", "refresh"]

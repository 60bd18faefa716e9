"""The flows of Quality Compass. Deployments name them here."""

from flows.quality_compass.flow.checklist import check_production
from flows.quality_compass.flow.finding import RunsRequest
from flows.quality_compass.flow.metrics import query_metrics
from flows.quality_compass.flow.operations import maintain, roll_back
from flows.quality_compass.flow.runs import refresh
from flows.quality_compass.flow.verifying import disagreements

__all__ = [
    "RunsRequest",
    "check_production",
    "disagreements",
    "maintain",
    "query_metrics",
    "refresh",
    "roll_back",
]

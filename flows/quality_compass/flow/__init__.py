"""The flows of Quality Compass. Deployments name them here."""

from flows.quality_compass.flow.checklist import check_production
from flows.quality_compass.flow.metrics import query_metrics
from flows.quality_compass.flow.operations import maintain, roll_back
from flows.quality_compass.flow.runs import refresh
from flows.quality_compass.settings import RunsRequest

__all__ = [
    "RunsRequest",
    "check_production",
    "maintain",
    "query_metrics",
    "refresh",
    "roll_back",
]

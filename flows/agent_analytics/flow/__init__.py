"""The flows of agent analytics. Deployments name them here."""

from flows.agent_analytics.flow.runs import refresh, refresh_copilot, report
from flows.agent_analytics.flow.tasks import build_purged, store_of, where_to_look

__all__ = ["build_purged", "refresh", "refresh_copilot", "report", "store_of", "where_to_look"]

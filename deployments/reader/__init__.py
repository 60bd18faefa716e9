"""Serves the published copy of agent analytics to dashboards that do not see its disk."""

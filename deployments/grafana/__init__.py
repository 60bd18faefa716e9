"""Grafana dashboards as code: ``python -m deployments.grafana`` writes ``dashboards/*.json``.

They read the `rpt_*` models that the report shows and the receiver's inbox: see docs/dashboards.md.
"""

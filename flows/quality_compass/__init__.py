"""Quality Compass: which facility signals need attention.

Reads the output of Project Needle insight-graph runs (JSONL), keeps the history of every run,
recomputes and audits what a run claims, and builds the marts and metrics in
``dbt_projects/quality_compass``.
"""

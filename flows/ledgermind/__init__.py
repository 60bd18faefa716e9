"""LedgerMind: are transaction suggestions accepted, by which engine, tenant and confidence.

Source: LedgerMind's operational PostgreSQL, read only. Warehouse: PostgreSQL locally (marts in
schema ``analytics`` beside the operational tables), BigQuery in production, fed by
``ledgermind-export``; one dbt project builds both.
"""

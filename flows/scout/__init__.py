"""Scout: what is bought, in which category, and is it normal.

Source: CSV and JSON files from a folder or an object store, and from Google Drive. Warehouse:
PostgreSQL (Supabase); raw payloads in ``scout``, then bronze, silver, gold and platinum by dbt, the
last with text embeddings in pgvector.
"""

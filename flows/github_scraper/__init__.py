"""GitHub scraper: who builds which repository, how much, how concentrated, how fast.

Source: git itself. Each repository is mirrored into a cache, its commit graph compared with the
head stored beside the rows, and exactly the difference is read and loaded. Warehouse: PostgreSQL,
raw tables in ``public`` (the leaderboard reads them), marts in ``analytics``.
"""

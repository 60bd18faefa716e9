"""GitHub scraper: who builds which repository, how much, how concentrated, how fast.

Source: git itself and GitHub's API. The head of each repository is compared with the one stored
beside the rows, and exactly the difference is read, by git or over the API, and loaded. Warehouse:
PostgreSQL, raw tables in ``public`` (the leaderboard reads them), the API client's own state in
``github_api``, marts in ``analytics``.
"""

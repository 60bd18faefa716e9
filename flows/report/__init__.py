"""The report: the answers of the five systems as a static site that anybody opens in a browser.

It reads the `rpt_*` models that each domain owns (`dbt_projects/<slug>/models/report/`) and the
Prefect API, and nothing else: no raw table, no mart. What a figure means is the description of its
model. The site asks no other host for anything and works without JavaScript.
"""

"""Flow runs as forks of one warm process: the worker type ``prefork``.

    python -m deployments.prefork --pool NAME

A worker (``worker.py``) keeps one parent (``parent.py``) that has imported Prefect, dbt and the
flows (``warmth.py``) and opened nothing. Where Prefect would start an interpreter for a run, it
starts a relay (``relay.py``), which asks the parent for a child (``child.py``).
"""

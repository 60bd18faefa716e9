"""Bringing a Prefect server in line with the files of this project: see ``python -m``."""

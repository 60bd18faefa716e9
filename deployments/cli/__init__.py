"""The command `flows`: one way to do each thing from a shell.

Thin parts over what the packages offer; what only some commands need is imported by them, so that
help and completion answer at once.
"""

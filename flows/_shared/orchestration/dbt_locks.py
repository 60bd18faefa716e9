"""The locks of dbt as locks of one process: imported before what makes them.

dbt takes them from multiprocessing's context "spawn", for which Python starts a process that tracks
them, in each command's process, and warns at its end of those that dbt leaves. No dbt command has a
second process. This may go once dbt takes locks of threads.
"""

from multiprocessing import get_context

from dbt import mp_context

mp_context._MP_CONTEXT = get_context("fork")

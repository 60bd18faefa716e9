"""Webhooks: what other systems post, taken in durably, told as events.

An HTTP receiver checks who sent a delivery, commits it to an inbox in PostgreSQL and only then
answers 202. An outbox beside it sends one thin event per delivery to the Prefect server, which
starts deployments. Domains read the inbox through ``flows._shared.inbox``.
"""

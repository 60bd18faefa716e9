"""Purges a person from everything that is kept of them, in every domain where people are known."""

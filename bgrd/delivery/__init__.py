"""Commit and source policy: results into the outbox, sources where they belong."""

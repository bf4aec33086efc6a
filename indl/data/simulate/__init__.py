"""Seeded data of known truth."""

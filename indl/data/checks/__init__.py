"""Checks of arrays, and what they find."""

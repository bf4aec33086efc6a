"""Weights by what they do, for reading and loading those of other libraries."""

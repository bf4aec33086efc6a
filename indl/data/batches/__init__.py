"""Batches of trials, and what is done to each."""

"""Spike times to counts."""

"""Cutting, rebinning, smoothing and joining recordings."""

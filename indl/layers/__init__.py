"""Layers that are neither recurrent nor distributions."""

from indl.layers.coordinated_dropout import CoordinatedDropout, block_gradient

__all__ = ["CoordinatedDropout", "block_gradient"]

"""Saved models, read back."""

from indl.loading.model import ModelError, load_model

__all__ = ["ModelError", "load_model"]

"""Models that run where this library is not installed."""

from indl.export.saved_model import export_saved_model

__all__ = ["export_saved_model"]

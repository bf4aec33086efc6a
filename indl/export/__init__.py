"""What a trained model gives to those who do not have this library: the model itself, or its rates."""

from indl.export.nlb_submission import write_nlb_submission
from indl.export.saved_model import export_saved_model

__all__ = ["export_saved_model", "write_nlb_submission"]

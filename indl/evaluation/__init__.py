"""What a trained model, and what smoothed spikes, are judged by."""

from indl.evaluation.gathering import Scores, left_out
from indl.evaluation.scores import PSTH_SD_S, decode_behavior, evaluate, evaluate_baseline

__all__ = ["PSTH_SD_S", "Scores", "decode_behavior", "evaluate", "evaluate_baseline", "left_out"]

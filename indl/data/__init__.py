"""Recordings: reading, checking, splitting, smoothing, and synthetic data with known truth.

Nothing here imports TensorFlow or Keras: a recording is numpy arrays and a few numbers.
"""

from indl.data.checks import check_bin_width, check_trials
from indl.data.hdf5 import RecordingError, load_recording, save_recording
from indl.data.recording import Recording, Split
from indl.data.smoothing import gaussian_smooth
from indl.data.synthetic import lorenz
from indl.data.trials import Trials

__all__ = [
    "Recording",
    "RecordingError",
    "Split",
    "Trials",
    "check_bin_width",
    "check_trials",
    "gaussian_smooth",
    "load_recording",
    "lorenz",
    "save_recording",
]

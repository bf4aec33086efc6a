"""Recordings: reading, checking, splitting, smoothing, and synthetic data with known truth.

Nothing here imports TensorFlow or Keras: a recording is numpy arrays and a few numbers.
"""

from indl.data.batches import Batches
from indl.data.checks import check_bin_width, check_trials
from indl.data.chop_plan import ChopPlan
from indl.data.chopping import chop, merge
from indl.data.examination.findings import CheckReport, Finding
from indl.data.hdf5 import (
    RecordingError,
    load_continuous,
    load_recording,
    load_trials,
    open_recording,
    save_recording,
    save_trials,
)
from indl.data.label_simulations import LabelledData, LabelledPart, pi_vae_continuous, pi_vae_discrete, tcl
from indl.data.lazy import LazyArray
from indl.data.mapping import read_mat, read_npz
from indl.data.nap import from_pynapple
from indl.data.nwb import NWBContents, describe_nwb, read_nwb
from indl.data.rebinning import rebin
from indl.data.recording import Recording, Split
from indl.data.report import examine, examine_file
from indl.data.series import Series
from indl.data.sessions import JoinedRecording, join_sessions, pad_session
from indl.data.smoothing import gaussian_smooth
from indl.data.spikes import bin_continuous, bin_spikes
from indl.data.synthetic import lorenz
from indl.data.trials import Trials

__all__ = [
    "Batches",
    "ChopPlan",
    "CheckReport",
    "Finding",
    "JoinedRecording",
    "LabelledData",
    "LabelledPart",
    "LazyArray",
    "NWBContents",
    "Recording",
    "RecordingError",
    "Series",
    "Split",
    "Trials",
    "bin_continuous",
    "bin_spikes",
    "check_bin_width",
    "check_trials",
    "chop",
    "describe_nwb",
    "examine",
    "examine_file",
    "from_pynapple",
    "gaussian_smooth",
    "join_sessions",
    "load_continuous",
    "load_recording",
    "load_trials",
    "lorenz",
    "merge",
    "open_recording",
    "pad_session",
    "pi_vae_continuous",
    "pi_vae_discrete",
    "read_mat",
    "read_npz",
    "read_nwb",
    "rebin",
    "save_recording",
    "save_trials",
    "tcl",
]

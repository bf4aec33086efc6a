"""Recordings: reading, checking, splitting, smoothing, and synthetic data with known truth.

Nothing here imports TensorFlow or Keras: a recording is numpy arrays and a few numbers.
"""

from indl.data.batches.batches import Batches
from indl.data.checks.arrays import check_bin_width, check_trials
from indl.data.checks.findings import CheckReport, Finding
from indl.data.examination.examine import examine, examine_file
from indl.data.files.hdf5 import (
    RecordingError,
    load_continuous,
    load_recording,
    load_trials,
    open_recording,
    save_recording,
    save_trials,
)
from indl.data.files.nlb_targets import write_nlb_targets
from indl.data.prepare.chopping import chop, merge
from indl.data.prepare.joining import JoinedRecording, join_sessions, pad_session
from indl.data.prepare.rebinning import rebin
from indl.data.prepare.smoothing import gaussian_smooth
from indl.data.prepare.standardizing import standardized
from indl.data.readers.any_file import Reading, read_recording, read_trials
from indl.data.readers.mapping import read_mat, read_npz
from indl.data.readers.nap import from_pynapple
from indl.data.readers.nlb import read_nlb
from indl.data.readers.nwb import NWBContents, describe_nwb, read_nwb
from indl.data.readers.sprites import SpriteFactors, read_sprites, sprite_factors
from indl.data.simulate.labelled import LabelledData, LabelledPart, pi_vae_continuous, pi_vae_discrete, tcl
from indl.data.simulate.lorenz import lorenz
from indl.data.simulate.static_dynamic import (
    StaticDynamicSimulator,
    StaticDynamicTrials,
    static_dynamic,
    static_dynamic_poisson,
    style_and_content,
)
from indl.data.spikes.binning import bin_continuous, bin_spikes
from indl.data.spikes.units import Units
from indl.data.spikes.window import Window
from indl.data.values.chop_plan import ChopPlan
from indl.data.values.lazy import LazyArray
from indl.data.values.nlb_data import NLBData
from indl.data.values.recording import Recording, Split
from indl.data.values.series import Series
from indl.data.values.trials import Trials

__all__ = [
    "Batches",
    "ChopPlan",
    "CheckReport",
    "Finding",
    "JoinedRecording",
    "LabelledData",
    "LabelledPart",
    "LazyArray",
    "NLBData",
    "NWBContents",
    "Reading",
    "Recording",
    "RecordingError",
    "Series",
    "Split",
    "SpriteFactors",
    "StaticDynamicSimulator",
    "StaticDynamicTrials",
    "Trials",
    "Units",
    "Window",
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
    "read_nlb",
    "read_npz",
    "read_nwb",
    "read_recording",
    "read_sprites",
    "read_trials",
    "rebin",
    "save_recording",
    "save_trials",
    "sprite_factors",
    "standardized",
    "static_dynamic",
    "static_dynamic_poisson",
    "style_and_content",
    "tcl",
    "write_nlb_targets",
]

"""Layers for missing samples and trials of different length."""

import keras
import numpy as np

from indl.layers.missing import FillMissing, LastBin, TimeMask
from indl.layers.time import FirstBins
from tests.checks import check_layer

X = np.arange(2 * 4 * 3, dtype="float32").reshape(2, 4, 3) + 1
GAPS = X.copy()
GAPS[0, 1] = np.nan  # a gap
GAPS[1, 2:] = np.nan  # the end
GAPS[1, 0, 0] = np.nan  # one sample
MASK = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool)


def test_missing_samples_become_zero():
    check_layer(FillMissing, GAPS, expected=np.nan_to_num(GAPS))


def test_gap_belongs_to_the_trial_and_padding_does_not():
    check_layer(TimeMask, GAPS, expected=MASK)
    longer = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 0, 0, 0, 0]], bool)
    check_layer(lambda: TimeMask(extra=2), GAPS, expected=longer)
    assert TimeMask(2)(keras.Input((4, 3))).shape == (None, 6)


def test_last_bin_is_that_of_the_trial():
    check_layer(LastBin, X, MASK, expected=np.stack([X[0, 3], X[1, 1]]), dynamic_time=False)


def test_first_bins():
    check_layer(FirstBins, X, X[:, :3], expected=X[:, :3], dynamic_time=False)

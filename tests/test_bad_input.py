"""Whatever is given wrongly is refused, in words that say what is wrong, what came and what to do."""

import functools
import warnings
from dataclasses import dataclass, field, fields
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from typer.testing import CliRunner

from indl.cli.app import app
from indl.data import (
    Recording,
    RecordingError,
    Series,
    Split,
    Trials,
    Units,
    Window,
    bin_continuous,
    bin_spikes,
    chop,
    describe_nwb,
    examine,
    examine_file,
    load_continuous,
    load_recording,
    load_trials,
    lorenz,
    open_recording,
    read_mat,
    read_npz,
    read_nwb,
    save_recording,
    save_trials,
)
from indl.params import parse_setting, preset, validate_params
from tests.messages import faults

COUNTS = np.random.default_rng(0).poisson(2.0, (20, 10, 6)).astype("float64") + 1


@dataclass
class Case:
    """What is done with a folder, the words that the message must hold, and the kind of error."""

    call: Any
    words: list[str]
    kind: type = ValueError
    #: None was given, so the message may say so.
    none: bool = field(default=False)


def assert_refused(case, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        with pytest.raises(case.kind) as raised:
            case.call(folder)
    message = str(raised.value)
    absent = [word for word in case.words if word not in message]
    assert not absent, f"{absent} not in: {message}"
    assert not faults(message, [folder], case.none), message


def poked(index, value):
    array = COUNTS.copy()
    array[index] = value
    return array


# --- parameters ---------------------------------------------------------------------------------

PARAMS = {
    "misspelt": ({"f_latent_sise": 3}, ["'f_latent_sise' = 3", "Did you mean 'f_latent_size'?"]),
    "misspelt alias": ({"encs_rnn_unit": 3}, ["'encs_rnn_unit'", "Did you mean 'encs_rnn_units'?"]),
    "nothing near": ({"batches": 3}, ["'batches'", "indl.params.TABLE"]),
    "a key that is no text": ({7: 3}, ["7 = 3"]),
    "a key of 5000 letters": ({"x" * 5000: 3}, ["xxx ... = 3"]),
    "two names for one": ({"f_latent_size": 3, "zs_size": 4}, ["'f_latent_size' and 'zs_size'", "Keep"]),
    "text for a number": ({"f_latent_size": "8"}, ["'f_latent_size'", "'8'", "an integer >= 0"]),
    "bool for a number": ({"f_latent_size": True}, ["True", "an integer"]),
    "a fraction of a unit": ({"f_units": [4, 2.5]}, ["[4, 2.5]", "list of integers"]),
    "an array of two axes": ({"f_units": np.zeros((2, 2))}, ["[[0.0, 0.0], [0.0, 0.0]]"]),
    "an array of 5000": ({"f_units": np.zeros(5000)}, ["an array of shape (5000,)"]),
    "NaN": ({"dropout_rate": float("nan")}, ["nan", "a number"]),
    "complex": ({"learning_rate": 1j}, ["1j", "a number"]),
    "out of range": ({"dropout_rate": 0.99}, ["0.99", "<= 0.95"]),
    "negative": ({"gen_l2_reg": -1}, ["'gen_l2_reg'", "-1", ">= 0"]),
    "a misspelt choice": ({"gen_cell_type": "GRUclip"}, ["'GRUclip'", "Did you mean 'GRUClip'?"]),
    "a list for a choice": ({"f_rnn_type": ["LSTM"]}, ["['LSTM']", "'LSTM', 'GRU'"]),
    "an unknown choice": ({"output_dist": "Binomial"}, ["'Binomial'", "Allowed: 'Poisson', "]),
    "no latent": (
        {"f_latent_size": 0, "z_latent_size": 0},
        ["at least one latent", "f_latent_size=0, z_latent_size=0"],
    ),
    "a Dense generator with a state": ({"gen_cell_type": "Dense"}, ["no state", "f_to_gen='init'", "Use f_to_gen"]),
    "a static latent that reaches nothing": ({"f_to_gen": None}, ["reaches nothing", "f_to_gen=None"]),
    "a closed form that is not there": (
        {"z_prior_process": "GRU", "z_kl_mode": "analytic"},
        ["no closed-form KL", "'GRU'", "'conditional'"],
    ),
}
SETTINGS = {
    "no sign": ("f_latent_size", ["key=value", "'f_latent_size'"]),
    "no key": ("=3", ["Unknown parameter", "''"]),
    "no value": ("f_latent_size=", ["'f_latent_size'", "''", "an integer"]),
    "a hole in a list": ("f_units=16,,8", ["'16,,8'", "integers"]),
    "text for a bool": ("sample_at_test=yes", ["'yes'", "True or False"]),
    "misspelt": ("z_latent_sise=3", ["Did you mean 'z_latent_size'?"]),
}
PARAM_CASES = {
    **{f"params: {name}": Case(lambda _, p=p: validate_params(p), words) for name, (p, words) in PARAMS.items()},
    **{f"setting: {name}": Case(lambda _, t=t: parse_setting(t), words) for name, (t, words) in SETTINGS.items()},
    "preset: misspelt": Case(lambda _: preset("defualt"), ["'defualt'", "Did you mean 'default'?"]),
    "params: a list": Case(lambda _: validate_params([1]), ["must be a dict", "list"]),
}


# --- arrays -------------------------------------------------------------------------------------


def arrays(words, counts=COUNTS, bin_width_s=0.02, kind=ValueError, none=False, **arguments):
    return Case(lambda _: Trials(counts, bin_width_s, **arguments), words, kind, none)


def split(words, counts=COUNTS, none=False, label=None, **arguments):
    return Case(lambda _: Trials(counts, 0.02, label=label).split(**arguments), words, none=none)


GAPS = poked((3, 4, 5), np.nan)
ARRAYS = {
    "a path": arrays(["counts must be numeric", "str", "array (trials"], "counts.h5"),
    "ragged": arrays(["cannot be made into an array", "list", "pad or cut"], [[1, 2], [3]]),
    "one trial without its axis": arrays(["3 axes", "(10, 6)", "array[None]"], COUNTS[0]),
    "four axes": arrays(["3 axes", "(1, 20, 10, 6)"], COUNTS[None]),
    "no trials": arrays(["no trials", "(0, 10, 6)", "selection"], COUNTS[:0]),
    "NaN": arrays(["must be finite", "1 NaN", "(3, 4, 5): nan", "missing=True"], GAPS),
    "an unrecorded trial": arrays(["in every trial", "trial 4", "Leave"], poked(4, np.nan), missing=True),
    "infinite": arrays(["must be finite or NaN", "(0, 0, 0): inf"], poked(0, np.inf), missing=True),
    "negative": arrays(["must hold counts", "1 negative", "(1, 1, 1): -2.0", "counts=False"], poked((1, 1, 1), -2)),
    "rates in Hz": arrays(["fractional", "multiples of 33.3333", "bins of 30 ms"], COUNTS / 0.03),
    "smoothed": arrays(["whole counts", "neither smoothed"], COUNTS + np.linspace(0, 0.9, 10)[:, None]),
    "complex": arrays(["must be numeric", "complex128"], COUNTS.astype(complex)),
    "bin width in ms": arrays(["in seconds", "Given: 20", "give 0.02"], bin_width_s=20),
    "bin width as text": arrays(["a number of seconds", "'20ms'", "0.02"], bin_width_s="20ms"),
    "two bin widths": arrays(["a number of seconds", "[0.02, 0.02]"], bin_width_s=np.array([0.02, 0.02])),
    "no bin width": arrays(["a number of seconds", "None"], bin_width_s=None, none=True),
    "all held out": split(["at least one channel", "6 of 6", "0 to 5"], heldout=6),
    "held out as text": split(["at least one channel", "'two'", "or indices"], heldout="two"),
    "half a channel held out": split(["at least one channel", "1.5"], heldout=1.5),
    "held out twice": split(["different channel indices", "[1, 1]"], heldout=[1, 1]),
    "held out of a mask": split(
        ["channel indices", "[True, False, False", "a bool a channel"], heldout=np.arange(5) < 1
    ),
    "held out of two axes": split(["channel indices", "[[1], [2]]"], heldout=[[1], [2]]),
    "no bin left": split(["forward_steps", "10 of 10", "0 to 9"], forward_steps=10),
    "half a bin": split(["forward_steps", "2.5", "whole number"], forward_steps=2.5),
    "fraction of nothing": split(["at least one trial", "valid_fraction 0"], valid_fraction=0),
    "fraction as text": split(["valid_fraction", "'a fifth'", "0.2"], valid_fraction="a fifth"),
    "negative seed": split(["seed must be", "-1", "as an int"], seed=-1),
    "no seed": split(["seed must be", "None"], seed=None, none=True),
    "labels of other trials": arrays(["label does not fit", "(5,)", "(20,)"], label=np.zeros(5)),
    "labels with NaN": split(["condition of every trial", "NaN in 20 of 20"], label=np.full(20, np.nan)),
    "labels that are nothing": arrays(["label must hold numbers or texts", "object"], label=[None] * 20),
    "ragged labels": arrays(["label cannot be made into an array", "list"], label=[[1], [2, 3]] * 10),
    "behaviour of two axes": arrays(["behavior does not fit", "(20, 9)"], behavior=COUNTS[:, :9, 0]),
    "behaviour of other bins": arrays(["behavior does not fit", "(20, 9, 6)"], behavior=COUNTS[:, :9]),
    "behaviour as text": arrays(["behavior must hold numbers", "<U1"], behavior=np.full((20, 10, 2), "a")),
    "complex behaviour": arrays(["behavior must hold numbers", "complex"], behavior=COUNTS * 1j),
    "truth of other channels": arrays(["truth does not fit", "(20, 10, 2)"], truth=COUNTS[:, :, :2]),
    "too few ids": arrays(["channel_ids does not fit", "(2,)", "(6,)"], channel_ids=[1, 2]),
    "a list of attributes": arrays(["attrs must be a mapping", "['mouse']"], attrs=["mouse"], kind=TypeError),
    "a list of nothing": Case(lambda _: Trials.from_list([], 0.02), ["at least one bin", "[]"]),
    "a trial of one axis": Case(lambda _: Trials.from_list([COUNTS[0], COUNTS[0, 0]], 0.02), ["(10, 6), (6,)"]),
    "trials of other channels": Case(
        lambda _: Trials.from_list([COUNTS[0], COUNTS[0, :, :3]], 0.02), ["same channels", "(10, 3)"]
    ),
    "behaviour of fewer trials": Case(
        lambda _: Trials.from_list(list(COUNTS[:2]), 0.02, behavior=[COUNTS[0]]), ["behavior", "1 trials for 2", "Cut"]
    ),
    "no list": Case(lambda _: Trials.from_list(3, 0.02), ["a list with one array a trial", "int"]),
    "no channel left": Case(lambda _: Trials(COUNTS, 0.02).channels([]), ["no channels", "(20, 10, 0)"]),
    "validation trials that are not there": split(["indices of trials", "[40]", "0 to 19"], valid=[40]),
    "all for validation": split(["at least one trial", "20 validation trials of 20"], valid=np.ones(20, bool)),
    "a mask of other trials": split(["or a bool for each", "[True, True, True]"], valid=np.ones(3, bool)),
    "no block": split(["block must be", "0", "from 1 on"], block=0),
    "one block": split(["at least one trial", "1 blocks"], block=50),
    "a part of two axes": Case(lambda _: Split(COUNTS[0], COUNTS[0]), ["encod must have 3 axes", "(10, 6)"]),
    "a part without a target": Case(lambda _: Split(COUNTS, None), ["recon must be numeric", "NoneType"]),
    "a target of other trials": Case(lambda _: Split(COUNTS, COUNTS[:3]), ["recon does not fit", "(3, 10, 6)"]),
    "a target of fewer channels": Case(
        lambda _: Split(COUNTS, COUNTS[:, :, :2]), ["recon does not fit", "(20, 10, 2)", "at least 6"]
    ),
    "a target of fewer bins": Case(lambda _: Split(COUNTS, COUNTS[:, :4]), ["recon does not fit", "at least 10"]),
    "parts of other bins": Case(
        lambda _: Recording(Split(COUNTS, COUNTS), Split(COUNTS[:, :5], COUNTS[:, :5]), 0.02, range(6)),
        ["same bins and channels", "(10, 6) and (5, 6)", "alike"],
    ),
    "arrays for parts": Case(
        lambda _: Recording(COUNTS, COUNTS, 0.02, range(6)), ["Split values", "ndarray", "Trials.split"], TypeError
    ),
    "a window longer than a trial": Case(lambda _: chop(Trials(COUNTS[:1], 0.02), 20), ["20", "10"]),
    "an overlap of all": Case(lambda _: chop(Trials(COUNTS[:1], 0.02), 4, 4), ["overlap", "4"]),
    "a benchmark without neurons": Case(lambda _: lorenz(n_neurons=0), ["n_neurons", "0"]),
    "a benchmark with a negative seed": Case(lambda _: lorenz(seed=-1), ["seed", "-1"]),
    "an array to examine": Case(lambda _: examine(COUNTS), ["Given: ndarray", "Trials(counts"], TypeError),
}


# --- models -------------------------------------------------------------------------------------


@functools.cache
def model():
    """A small compiled model of 8 bins and 5 channels."""
    from tests.checks import tiny_model

    built = tiny_model()
    built.compile(optimizer="adam")
    return built


X = np.random.default_rng(1).poisson(1.0, (6, 8, 5)).astype("float32") + 1


def fit(words, *arguments, **options):
    return Case(lambda _: model().fit(*arguments, epochs=1, verbose=0, **options), words)


def rates(words, *arguments, **options):
    return Case(lambda _: model().rates(*arguments, **options), words)


def train(words, kind=ValueError, params=None, data=None, none=False, **options):
    def call(_):
        from indl.training import train as fit_recording

        recording = Trials(COUNTS, 0.02).split() if data is None else data
        fit_recording(preset("default") if params is None else params, recording, **options)

    return Case(call, words, kind, none)


MODELS = {
    "fit: nothing": fit(["x must be an array", "NoneType", "numpy.asarray"], None),
    "fit: lists": fit(["x must be an array", "list"], X.tolist()),
    "fit: a recording": fit(["x must be an array", "Recording", "train.encod"], Trials(COUNTS, 0.02).split()),
    "fit: two axes": fit(["x must have 3 axes", "(8, 5)"], X[0]),
    "fit: other channels": fit(["does not fit the model's input", "(6, 8, 3)", "(trials, time, 5)"], X[:, :, :3]),
    "fit: other bins": fit(["does not fit the model's input", "5 bins for an input of 8"], X[:, :5]),
    "fit: other trials": fit(["same trials", "6 and 3"], X, X[:3]),
    "fit: a wider target": fit(["does not fit the read-out", "7 channels", "5"], X, np.ones((6, 8, 7), "float32")),
    "fit: NaN": fit(["must be finite", "nan"], np.where(X > 2, np.nan, X)),
    "fit: negative": fit(["must hold counts", "negative"], -X),
    "fit: rates": fit(["whole counts", "fractional"], X / 3),
    "fit: validation of other channels": fit(["validation x", "(6, 8, 2)"], X, validation_data=(X[:, :, :2],)),
    "fit: validation without a tuple": fit(["must be a tuple", "(2, 8, 5)", "Pass (x,)"], X, validation_data=X[:2]),
    "fit: no batch": fit(["batch_size", "0"], X, batch_size=0),
    "rates: a path": rates(["x must be numeric", "str"], "counts.h5"),
    "rates: ragged": rates(["x cannot be made into an array", "list"], [[1], [2, 3]]),
    "rates: complex": rates(["x must be numeric", "complex64"], X * 1j),
    "rates: two axes": rates(["lacks the axis of trials", "(8, 5)", "x[None]"], X[0]),
    "rates: other channels": rates(["does not fit the model's input", "(6, 8, 3)"], X[:, :, :3]),
    "rates: infinite": rates(["not finite"], np.where(X > 2, np.inf, X)),
    "rates: negative samples": rates(["posterior samples", "-1"], X, samples=-1),
    "rates: half a sample": rates(["posterior samples", "1.5"], X, samples=1.5),
    "rates: seed as text": rates(["seed", "'a'"], X, samples=2, seed="a"),
    "rates: no batch": rates(["batch_size", "0"], X, batch_size=0),
    "encode: other channels": Case(lambda _: model().encode(X[:, :, :3]), ["does not fit", "(6, 8, 3)"]),
    "log_prob: other trials": Case(lambda _: model().log_prob(X, X[:2]), ["target does not fit", "(2, 8, 5)"]),
    "decode: other sizes": Case(
        lambda _: model().decode(np.ones((2, 9)), np.ones((2, 8, 2))), ["sizes", "(2, 9)", "encode"]
    ),
    "generate: fewer than none": Case(lambda _: model().generate(-1, 8), ["n must be", "-1"]),
    "outputs: unknown": Case(lambda _: model().outputs_of(X, ("psths",)), ["'psths'", "rates"]),
    "reconstruct: unknown": Case(lambda _: model().reconstruct(X, swap="g"), ["'g'", "'f', 'z'"]),
    "train: an array": train(["needs a Recording", "ndarray"], TypeError, data=COUNTS),
    "train: no epoch": train(["epochs", "0"], epochs=0),
    "train: params as text": train(["must be a dict", "str"], params="default", epochs=1),
    "train: a segment of the whole trial": train(
        ["f_enc_input_samps", "10"], params=preset("default", f_enc_input_samps=10), epochs=1
    ),
}


# --- HDF5 ---------------------------------------------------------------------------------------


def write(path, **changes):
    """A small good file with changes; None leaves out, `attr_` is for attributes."""
    content = {f"{part}_recon_data": COUNTS[:10] for part in ("train", "valid")}
    content |= {f"{part}_encod_data": COUNTS[:10, :, :5] for part in ("train", "valid")}
    attrs = {"bin_width_s": 0.02} | {key[5:]: value for key, value in changes.items() if key.startswith("attr_")}
    content |= {key: value for key, value in changes.items() if not key.startswith("attr_")}
    with h5py.File(path, "w") as file:
        for name, value in content.items():
            if value is not None:
                file[name] = value
        file.attrs.update({name: value for name, value in attrs.items() if value is not None})
    return path


def file_case(words, load=load_recording, kind=RecordingError, **changes):
    return Case(lambda folder: load(write(folder / "r.h5", **changes)), words, kind)


HDF5 = {
    "no train_encod_data": file_case(["no dataset train_encod_data", "Found: train_recon"], train_encod_data=None),
    "an empty file": file_case(
        ["no dataset", "nothing"], **{f"{p}_{k}_data": None for p in ("train", "valid") for k in ("encod", "recon")}
    ),
    "two axes": file_case(["train_encod_data", "3 axes", "(10, 6)"], train_encod_data=COUNTS[0]),
    "text": file_case(["train_encod_data", "numeric"], train_encod_data="spikes"),
    "NaN": file_case(["valid_recon_data", "finite", "600 NaN"], valid_recon_data=np.full((10, 10, 6), np.nan)),
    "negative": file_case(["train_recon_data", "negative", "-"], train_recon_data=-COUNTS[:10]),
    "fractional": file_case(["train_recon_data", "fractional"], train_recon_data=COUNTS[:10] / 3),
    "other trials": file_case(["same trials", "9 and 10"], train_encod_data=COUNTS[:9, :, :5]),
    "parts of other channels": file_case(
        ["same bins and channels", "(10, 6) and (10, 5)"],
        valid_recon_data=COUNTS[:10, :, :5],
        valid_encod_data=COUNTS[:10, :, :5],
    ),
    "labels of other trials": file_case(["label does not fit", "(3,)"], train_label=np.zeros(3)),
    "labels with NaN": file_case(["train_label must be finite", "10 NaN"], train_label=np.full(10, np.nan)),
    "fractional indices": file_case(["train_inds", "0.5", "whole"], train_inds=np.full(10, 0.5)),
    "behaviour of other bins": file_case(["behavior does not fit"], train_behavior=np.zeros((10, 3, 2))),
    "infinite behaviour": file_case(["train_behavior", "infinite"], train_behavior=np.full((10, 10, 2), np.inf)),
    "factor zero": file_case(["conversion_factor", "0.0"], train_truth=COUNTS[:10], attr_conversion_factor=0.0),
    "factor as text": file_case(["conversion_factor", "'Hz'"], train_truth=COUNTS[:10], attr_conversion_factor="Hz"),
    "too few ids": file_case(["channel_ids", "(3,)"], channel_ids=np.arange(3)),
    "no bin width": file_case(["bin width", "bin_width_s=..."], attr_bin_width_s=None),
    "bin width as text": file_case(["bin width", "'20 ms'"], attr_bin_width_s="20 ms"),
    "bin width in ms": file_case(["in seconds", "give 0.02"], attr_bin_width_s=20.0),
    "two bin widths": file_case(["a number of seconds", "[0.02, 0.02]"], attr_bin_width_s=[0.02, 0.02]),
    "other held-in channels": file_case(["n_heldin", "3 for 5"], attr_n_heldin=3),
    "a flag that is none": file_case(["missing", "'perhaps'"], attr_missing="perhaps"),
    "a link to nowhere": file_case(["no values at /nowhere"], train_encod_data=h5py.SoftLink("/nowhere")),
    "a link to another file": file_case(["train_encod_data"], train_encod_data=h5py.ExternalLink("b.h5", "/x")),
    "unsplit trials without their array": file_case(["no dataset"], load_trials, train_recon_data=None),
    "the same trial twice": file_case(
        ["same trial", "[0, 1"], load_trials, train_inds=np.arange(10), valid_inds=np.arange(10)
    ),
    "nothing continuous": file_case(["continuous_data"], load_continuous),
    "another bin width": file_case(["0.02", "0.01"], lambda path: load_recording(path, bin_width_s=0.01)),
    "no room": file_case(["max_bytes", "2000"], lambda path: open_recording(path, max_bytes=2000), ValueError),
}
OTHER_FILES = {
    "absent": Case(lambda f: load_recording(f / "no.h5"), ["no.h5", "nothing"], FileNotFoundError),
    "a folder": Case(lambda f: load_recording(f), ["a folder"], FileNotFoundError),
    "text": Case(
        lambda f: ((f / "t.h5").write_text("1 2 3"), load_recording(f / "t.h5")), ["HDF5", "5 bytes"], RecordingError
    ),
    "unsplit trials": Case(
        lambda f: (save_trials(Trials(COUNTS, 0.02), f / "t.h5"), load_recording(f / "t.h5")),
        ["unsplit trials", "Trials.split"],
        RecordingError,
    ),
    "write nothing": Case(lambda f: save_recording(None, f / "a.h5"), ["NoneType", "Recording"], TypeError),
    "write to no folder": Case(
        lambda f: save_recording(Trials(COUNTS, 0.02).split(), f / "no" / "a.h5"),
        ["no folder", "Make the folder"],
        FileNotFoundError,
    ),
    "write to a folder": Case(
        lambda f: save_recording(Trials(COUNTS, 0.02).split(), f), ["in the place of a folder"], FileExistsError
    ),
    "write an object": Case(
        lambda f: save_recording(Trials(COUNTS, 0.02, attrs={"rig": {1: 2j}}).split(), f / "a.h5"),
        ["'rig'", "{1: 2j}", "remove the entry"],
        RecordingError,
    ),
    "npz: absent": Case(lambda f: read_npz(f / "a.npz", {"counts": "c"}), ["a.npz", "nothing"], FileNotFoundError),
    "mat: absent": Case(lambda f: read_mat(f / "a.mat", {"counts": "c"}), ["a.mat", "nothing"], FileNotFoundError),
}


def variables(words, mapping, kind="npz", **options):
    content = {"spikes": COUNTS, "target": np.arange(20), "widths": np.array([0.02, 0.03])}

    def call(folder):
        if kind == "npz":
            np.savez(folder / "a.npz", **content)
            return read_npz(folder / "a.npz", mapping, **options)
        scipy.io.savemat(folder / "a.mat", content)
        return read_mat(folder / "a.mat", mapping, **options)

    return Case(call, words, RecordingError)


VARIABLES = {
    "no mapping": variables(["needs a mapping", "{}", "spikes: (20, 10, 6)"], {}),
    "no such variable": variables(["spike"], {"counts": "spike"}, bin_width_s=0.02),
    "no such field": variables(["'labels'", "label"], {"counts": "spikes", "labels": "target"}, bin_width_s=0.02),
    "no width": variables(["bin width", "bin_width_s=..."], {"counts": "spikes"}),
    "two widths": variables(["one number", "[0.02, 0.03]"], {"counts": "spikes", "bin_width_s": "widths"}),
    "unknown axes": variables(["axes must name", "'a,b,c'"], {"counts": "spikes"}, axes="a,b,c", bin_width_s=0.02),
    "axes as a number": variables(["axes must name", "Given: 3"], {"counts": "spikes"}, axes=3, bin_width_s=0.02),
    "counts with a window": variables(["Given: window"], {"counts": "spikes"}, window=Window(bin_width_s=0.02)),
    "labels of other trials": variables(["label", "(2,)"], {"counts": "spikes", "label": "widths"}, bin_width_s=0.02),
    "mat: no such variable": variables(["spike"], {"counts": "spike"}, "mat", bin_width_s=0.02),
    "mat: two widths": variables(["one number", "[0.02, 0.03]"], {"counts": "spikes", "bin_width_s": "widths"}, "mat"),
}


# --- spike times --------------------------------------------------------------------------------

SPIKES = [[0.1, 0.5, 0.9], [0.2, 0.3]]


def spikes(words, spike_times=SPIKES, events=(0.5,), units=None, behavior=None, **options):
    def call(_):
        window = Window(events, **{"bin_width_s": 0.1, "window_s": (-0.2, 0.2)} | options)
        return bin_spikes(Units(spike_times, **(units or {})), window, behavior=behavior)

    return Case(call, words)


SPIKE_TIMES = {
    "text": spikes(["one array a unit", "str"], "spikes"),
    "one flat list": spikes(["one array a unit", "3 numbers, [0.1, 0.2, 0.3]", "[times]"], [0.1, 0.2, 0.3]),
    "an array": spikes(["one array a unit", "(3, 2)"], np.zeros((3, 2))),
    "NaN": spikes(["finite", "unit 0 at index 1: nan"], [[0.1, np.nan]]),
    "negative": spikes(["start of the recording", "-0.1 s", "clock"], [[-0.1]]),
    "sample numbers": spikes(["in seconds", "unit 0 at index 0", "sampling_rate_hz"], [[1e12]]),
    "words": spikes(["vector of numbers", "unit 0"], [["a"]]),
    "no events": spikes(["events", "window_s"], events=None),
    "events that are NaN": spikes(["There must be events", "1 of 1"], events=[np.nan]),
    "infinite events": spikes(["must be finite", "1 infinite"], events=[np.inf]),
    "a window backwards": spikes(["start before a stop", "(0.2, -0.2)"], window_s=(0.2, -0.2)),
    "a window of half a bin": spikes(["whole number of bins", "4.5 bins", "nearest"], window_s=(-0.2, 0.25)),
    "a window of words": spikes(["start before a stop", "('a', 'b')"], window_s=("a", "b")),
    "no bin width": spikes(["positive and finite", "0.0 s"], bin_width_s=0),
    "labels of other trials": spikes(["label must be one value", "(2,)"], label=[1, 2]),
    "ids of other units": spikes(["ids must be", "(1,)", "2 units"], units={"ids": [1]}),
    "rates of other units": spikes(["sampling_rate_hz", "(3,)"], units={"sampling_rate_hz": [1, 2, 3]}),
    "offsets of other units": spikes(["offset_s", "'b'", "Add"], {"b": [0.1]}, units={"offset_s": {"a": 1.0}}),
    "unknown edges": spikes(["'cut'", "raise, missing, drop"], edges="cut"),
    "a trial outside": spikes(["must lie in the recording", "trial 1"], events=[0.5, 10.0], recording_s=(0, 1)),
    "a recording of words": spikes(["start and the stop", "'ab'"], recording_s="ab"),
    "a tolerance of bins": spikes(["tolerance", "Given: 2"], tolerance=2),
    "a tolerance of words": spikes(["tolerance", "'a'"], tolerance="a"),
    "behaviour without times": spikes(["behavior must be times with values", "ndarray"], behavior=np.zeros(3)),
    "behaviour of other times": spikes(["one time a sample", "(3,)", "(4,)"], behavior=(np.arange(3.0), np.zeros(4))),
    "a gap below zero": spikes(["max_gap_s", "-1"], behavior=(np.arange(3.0), np.zeros(3)), max_gap_s=-1),
    "no window": Case(lambda _: bin_spikes(SPIKES, [0.5]), ["cut by a Window", "Given: [0.5]"], TypeError),
    "times backwards": Case(lambda _: Series([0.0, 2.0, 1.0], [1, 2, 3]), ["ascend", "index 2: 1"]),
    "a whole recording backwards": Case(
        lambda _: bin_continuous(SPIKES, 1, 0, bin_width_s=0.1), ["at least one bin", "from 1 to 0"]
    ),
}


# --- NWB ----------------------------------------------------------------------------------------


@functools.cache
def nwb_content():
    """The bytes of a small NWB file: three units, ten trials, a hand."""
    pynwb = pytest.importorskip("pynwb")
    import datetime
    import tempfile
    from pathlib import Path

    rng = np.random.default_rng(0)
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    nwb = pynwb.NWBFile("a session", "one", start)
    for _ in range(3):
        nwb.add_unit(spike_times=np.sort(rng.uniform(0, 20, 200)))
    nwb.add_trial_column("go_time", "when the target came")
    nwb.add_trial_column("target", "which target")
    for i in range(10):
        nwb.add_trial(start_time=2.0 * i, stop_time=2.0 * i + 1, go_time=2.0 * i + 0.5, target=f"t{i % 2}")
    hand = pynwb.TimeSeries(name="hand", data=rng.normal(size=(2000, 2)), unit="m", rate=100.0)
    nwb.add_acquisition(hand)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nwb"
        with pynwb.NWBHDF5IO(path, "w") as io:
            io.write(nwb)
        return path.read_bytes()


def nwb(words, kind=RecordingError, change=None, **options):
    def call(folder):
        (folder / "a.nwb").write_bytes(nwb_content())
        if change is not None:
            with h5py.File(folder / "a.nwb", "a") as file:
                change(file)
        given = {"bin_width_s": 0.05} | options
        window = {field.name: given.pop(field.name) for field in fields(Window) if field.name in given}
        return read_nwb(folder / "a.nwb", Window(**window), **given)

    return Case(call, words, kind)


def put(name, index, value):
    def change(file):
        file[name][index] = value

    return change


NWB = {
    "no column to align to": nwb(["go_tome", "go_time"], events="go_tome", window_s=(-0.2, 0.3)),
    "no column of conditions": nwb(["targets", "target"], label="targets"),
    "no series": nwb(["hands", "hand"], behavior="hands"),
    "no table": nwb(["reaches", "trials"], intervals="reaches"),
    "no unit left": nwb(["no such column", "'quality'"], unit_filter={"quality": "good"}),
    "a window of half a bin": nwb(["whole number of bins"], ValueError, events="go_time", window_s=(-0.22, 0.3)),
    "aligned without a window": nwb(["need a window", "'go_time'"], ValueError, events="go_time"),
    "angles that are not read": nwb(["angles", "hand"], ValueError, angles=["hand"]),
    "bin width in ms": nwb(["in seconds", "give 0.05"], ValueError, bin_width_s=50),
    "no units": nwb(["no spike times", "units"], change=lambda file: file.__delitem__("units")),
    "no trials": nwb(["no table of trials", "intervals="], change=lambda file: file.__delitem__("intervals/trials")),
    "a trial backwards": nwb(["at least one bin", "trial 3"], change=put("intervals/trials/stop_time", 3, 0.0)),
    "a spike that is NaN": nwb(["finite", "unit 0"], change=put("units/spike_times", 5, np.nan)),
    "an index beyond the spikes": nwb(["spike_times"], change=put("units/spike_times_index", 2, 60_000)),
    "absent": Case(
        lambda f: read_nwb(f / "no.nwb", Window(bin_width_s=0.05)), ["no.nwb", "nothing"], FileNotFoundError
    ),
    "text": Case(
        lambda f: ((f / "t.nwb").write_text("units"), read_nwb(f / "t.nwb", Window(bin_width_s=0.05))),
        ["cannot be read as NWB", "5 bytes"],
        RecordingError,
    ),
    "a recording": Case(
        lambda f: describe_nwb(write(f / "r.nwb")), ["cannot be read as NWB", "HDF5, but not NWB"], RecordingError
    ),
}

CASES = {
    **PARAM_CASES,
    **{f"arrays: {name}": case for name, case in ARRAYS.items()},
    **{f"models: {name}": case for name, case in MODELS.items()},
    **{f"hdf5: {name}": case for name, case in HDF5.items()},
    **{f"files: {name}": case for name, case in OTHER_FILES.items()},
    **{f"variables: {name}": case for name, case in VARIABLES.items()},
    **{f"spikes: {name}": case for name, case in SPIKE_TIMES.items()},
    **{f"nwb: {name}": case for name, case in NWB.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_wrong_is_refused_in_words(name, tmp_path):
    assert_refused(CASES[name], tmp_path)


@pytest.mark.parametrize("name", [n for n, c in HDF5.items() if c.kind is RecordingError and "bin width" not in n])
def test_the_report_finds_what_the_reader_refuses(name, tmp_path):
    """A file that cannot be loaded is never called good."""
    with pytest.raises(RecordingError):
        HDF5[name].call(tmp_path)
    try:
        load_recording(tmp_path / "r.h5")
    except RecordingError:
        assert not examine_file(tmp_path / "r.h5").ok


# --- command line -------------------------------------------------------------------------------

# Arguments (GOOD and BAD are files of the test), and what must be told.
COMMANDS = {
    "train: absent": (["train", "no.h5", "--out", "o"], ["no.h5", "Check the path"]),
    "train: a folder": (["train", ".", "--out", "o"], ["a folder"]),
    "train: negative counts": (["train", "BAD", "--out", "o"], ["negative", "bad.h5"]),
    "train: no such preset": (["train", "GOOD", "--out", "o", "--preset", "lfadz"], ["'lfadz'", "Choose one of"]),
    "train: misspelt": (["train", "GOOD", "--out", "o", "--set", "f_latent_sise=3"], ["Did you mean 'f_latent_size'"]),
    "train: no value": (["train", "GOOD", "--out", "o", "--set", "seed"], ["key=value", "'seed'"]),
    "train: out of range": (["train", "GOOD", "--out", "o", "--set", "dropout_rate=2"], ["2.0", "<= 0.95"]),
    "evaluate: no model": (["evaluate", "no.keras", "GOOD"], ["no.keras", "no model"]),
    "evaluate: data for a model": (["evaluate", "GOOD", "GOOD"], ["does not hold a model", "good.h5"]),
    "export: no model": (["export", "no", "o"], ["no model"]),
    "tune: no such parameter": (["tune", "GOOD", "--out", "o", "--search", "speed"], ["'speed'"]),
    "baseline: absent": (["baseline", "no.h5"], ["no.h5"]),
    "check: absent": (["check", "no.h5"], ["no.h5", "nothing"]),
    "check: text": (["check", "TEXT"], ["cannot be read as HDF5", "text.h5"]),
    "check: no such figure": (["check", "GOOD", "--out", "page.xyz"], ["page.xyz", ".png, .pdf, .svg"]),
    "check: NWB that is none": (["check", "NWB"], ["cannot be read as NWB", "text.nwb"]),
}
USAGE = {
    "no command": (["trian"], ["No such command 'trian'"]),
    "no data": (["train"], ["Missing argument"]),
    "no option": (["train", "GOOD"], ["Missing option '--out'"]),
    "an unknown option": (["train", "GOOD", "--out", "o", "--epoch", "3"], ["No such option", "--epoch"]),
    "no number": (["train", "GOOD", "--out", "o", "--epochs", "many"], ["'--epochs'", "a valid integer"]),
    "below one": (["train", "GOOD", "--out", "o", "--epochs", "0"], ["'--epochs'", "greater than or equal to 1"]),
    "check: no number": (["check", "GOOD", "--bin-width", "20ms"], ["'--bin-width'", "a valid number"]),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write(folder / "good.h5")
    write(folder / "bad.h5", train_recon_data=-COUNTS[:10])
    for name in ("text.h5", "text.nwb"):
        (folder / name).write_text("no recording")
    names = {"GOOD": "good.h5", "BAD": "bad.h5", "TEXT": "text.h5", "NWB": "text.nwb"}
    return {name: str(folder / file) for name, file in names.items()}


def invoke(arguments, files):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return CliRunner().invoke(app, [files.get(argument, argument) for argument in arguments])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_command_is_told_in_a_line(name, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, words = COMMANDS[name]
    result = invoke(arguments, files)
    assert result.exit_code == 1
    told = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(told) == 1 and result.stderr.splitlines()[-1] == told[0], result.output
    message = told[0].removeprefix("error: ")
    assert not [word for word in words if word not in message], message
    assert not faults(message, [*files.values(), tmp_path])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", USAGE)
def test_a_wrong_usage_is_told_with_the_usage(name, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments, words = USAGE[name]
    result = invoke(arguments, files)
    assert result.exit_code == 2
    text = " ".join(result.output.replace("│", " ").split())
    assert not [word for word in words if word not in text], text
    assert "Usage: " in text and "Traceback" not in text
    assert list(tmp_path.iterdir()) == []


def test_the_table_is_long_enough():
    assert len(CASES) + len(COMMANDS) + len(USAGE) >= 80

"""Writes a golden set: ``python -m tests.golden.write tests/golden/NUMBER``, from the root of the repository.

A set is written once, by the version of the library whose formats it holds, and never again: a later change of a format
adds a set and a reader of the old ones. A set beside others holds the models that they lack, and no more.
"""

import contextlib
import math
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np

from indl import build_sequential_vae, export_saved_model, lorenz, preset, save_recording
from indl.model.pi_vae.builders import build_pi_vae, compile_pi_vae
from indl.params import FAMILIES, validate_params
from indl.runs import Run, execute
from indl.training import make_optimizer
from indl.tuning import IsolatedRandomSearch, SequentialHyperModel
from tests.checks import PLAIN, TINY, counts
from tests.golden.numbers import INPUTS, compress, numbers, packed

#: Saved classes that no preset has.
VARIANTS = {
    "gamma_sessions": {"output_dist": "Gamma", "n_sessions": 2, "input_factors": 3},
    "gaussian_free": {
        "output_dist": "Gaussian", "z_prior_process": "GRU", "z_prior_rollout": "free", "z1_lag": 1,
        "f_enc_input_samps": 2, "f_to_z": "z2", "q_f_samples": 2,
    },
    "squared_error_missing": {
        "output_dist": "MSE", "missing_data": True, "sample_validation_rate": 0.2, "f_enc_input_samps": 2,
        "f_rnn_type": "GRU",
    },
    "f_alone": {"z_latent_size": 0},
    "f_alone_complex": {"z_latent_size": 0, "gen_cell_type": "Complex"},
    "student_t": {"output_dist": "ZeroInflatedGamma", "z_prior_process": "student_t", "f_to_z": "z1"},
    "labels": {
        "u_dim": 3, "u_type": "discrete", "f_prior_type": "cond", "z_prior_process": "cond", "q_cond": "product",
        "alpha": 0.3, "gen_cell_type": "LSTM", "gen_init_trainable": True, "f_to_gen": "tile",
    },
    "films": {"frame_shape": [4, 8, 1], "frame_filters": [2, 3], "frame_features": 4, "z_latent_size": 0},
    "product_with_transition": {
        "q_z_type": "combiner", "use_generative_prior": True, "z_prior_process": "gated", "z1_rnn_type": "BackwardLSTM",
        "z2_units": 0, "output_dist": "Bernoulli", "encoder_state_trainable": True,
    },
    "published_ivae": {
        "z1_rnn_type": None, "z2_units": 0, "q_z_units": [4], "z1_activation": "leaky_relu_0.1", "f_latent_size": 0,
        "z_prior_process": "cond", "z_prior_train_mean": False, "u_dim": 3, "u_type": "continuous", "q_cond": "concat",
        "u_activation": "leaky_relu_0.1", "gen_cell_type": "Dense", "gen_activation": "leaky_relu_0.1", "n_factors": 0,
        "f_to_gen": None, "output_dist": "GaussianUnit", "output_std": 0.1, "q_z_scale": "log_variance",
    },
    "beta_tcvae": {**PLAIN, "objective": "beta_tcvae", "n_data": 6},
    "factor_vae": {**PLAIN, "objective": "factor_vae", "factor_units": [3]},
    "dip_vae": {**PLAIN, "objective": "dip_vae_ii"},
    "capacity": {**PLAIN, "objective": "capacity"},
    "balanced": {**PLAIN, "kl_balance": 0.8, "f_free_bits": 0.1},
    "ssm_with_networks": {
        "z_prior_process": "mlp", "q_z_type": "combiner", "use_generative_prior": True, "z1_rnn_type": "BackwardGRU",
        "z2_units": 0, "gen_cell_type": "Dense", "f_latent_size": 0, "f_to_gen": None,
    },
    "many_samples": {**PLAIN, "objective": "dreg", "q_f_samples": 3},
}  # fmt: skip
LORENZ = {"n_neurons": 6, "n_conditions": 2, "n_trials": 8, "n_bins": 6, "heldout": 1}
#: What presets need besides sizes.
NEEDED = {"ivae": {"u_dim": 3}, "pi_vae_sequence": {"u_dim": 3}}


def sequence_model(name):
    """A small trained sequential model, and its inputs."""
    if name in VARIANTS:
        p = validate_params({**TINY, **VARIANTS[name]})
    else:
        # A latent, or layer, that the preset has not stays away.
        sizes = {key: size for key, size in TINY.items() if preset(name, **NEEDED.get(name, {}))[key]}
        p = validate_params(preset(name, **{**sizes, **NEEDED.get(name, {})}))
    x = counts(channels=math.prod(p["frame_shape"] or [5])) + (p["output_dist"] == "Gamma")
    x = np.minimum(x, 1) if p["output_dist"] == "Bernoulli" else x
    inputs = {"x": x}
    if p["missing_data"]:
        x[0, 5:], x[1, 2, 3] = np.nan, np.nan
    if p["sample_validation_rate"]:
        inputs["sample_mask"] = np.random.default_rng(0).random(x.shape) < 0.2
    if p["u_dim"]:
        inputs["u"] = np.arange(len(x)) % 3 if p["u_type"] == "discrete" else x[:, 0, :3]
        if p["u_per_step"]:
            inputs["u"] = np.repeat(inputs["u"][:, None], x.shape[1], axis=1)
    if p["n_sessions"] > 1:
        inputs["session"] = np.arange(len(x), dtype="int32") % 2
    if p["f_prior_type"] == "lookup":
        inputs["index"] = np.arange(len(x), dtype="int32") % p["f_prior_n_seqs"]
    model = build_sequential_vae(p, x.shape[1], x.shape[2])
    model.compile(make_optimizer(p, len(x), 2))
    return model, inputs


def pi_vae_model(name):
    """A small pi-VAE, and its inputs."""
    x = counts()[0]
    changes = {"encoder_hidden_layer_dim": 6, "decoder_n_gin_blocks": 1, "jit_compile": "off"}
    if name == "pi_vae_gaussian":
        gaussian = {"decoder_observation_model": "gaussian", "discrete_labels": False}
        model = build_pi_vae(preset("pi_vae", **changes, **gaussian), x.shape[1], 2)
        compile_pi_vae(model, model.params)
        return model, {"x": x, "u": x[:, :2]}
    p = preset(name, **changes)
    model = build_pi_vae(p, x.shape[1], 3)
    compile_pi_vae(model, model.params)
    return model, {"x": x, "u": np.arange(len(x), dtype="int32") % 3}


def write_models(folder, known=()):
    """One file a preset and variant, but those `known`, trained for a step; beside it what it was given and gave."""
    makers = {name: pi_vae_model for name in (*FAMILIES["pi_vae"].presets, "pi_vae_gaussian")}
    makers |= {name: sequence_model for name in (*FAMILIES["sequence"].presets, *VARIANTS)}
    for name in makers.keys() - set(known):
        make = makers[name]
        keras.utils.set_random_seed(0)
        model, inputs = make(name)
        if make is pi_vae_model:
            model.fit((inputs["x"], inputs["u"]), epochs=1, verbose=0)
        else:
            model.fit(inputs, inputs["x"], epochs=1, batch_size=6, verbose=0)
        model.save(folder / f"{name}.keras")
        compress(folder / f"{name}.keras")
        given = {f"{INPUTS}{key}": value for key, value in inputs.items()}
        np.savez_compressed(folder / f"{name}.npz", **given, **packed(numbers(model, inputs)))


class Interrupt(keras.callbacks.Callback):
    """Ends a run after its first epoch, as a user would."""

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def write_runs(folder, recording):
    """A run that has ended, one that has not, the export of the first, and its rates."""
    run = Run({"kind": "lorenz", **LORENZ}, preset("default", **PLAIN, batch_size=8), epochs=2, samples=0)
    for name, callbacks in (("run", []), ("unfinished", [Interrupt()])):
        with tempfile.TemporaryDirectory() as scratch:
            with contextlib.suppress(KeyboardInterrupt):
                result, _ = execute(run, scratch, callbacks=callbacks)
            (folder / name).mkdir()
            for file in ("run.json", "state.npz", "model.keras", "params.json", "history.json", "metrics.json"):
                if (Path(scratch) / file).exists():
                    shutil.copy(Path(scratch) / file, folder / name / file)
    compress(folder / "run" / "model.keras")
    export_saved_model(result.model, folder / "export")
    rates = result.model.rates(recording.valid.encod)
    np.savez_compressed(folder / "expected.npz", rates=rates, encod=recording.valid.encod)


def write_search(folder, recording):
    """A search that has ended, with its trials."""
    hypermodel = SequentialHyperModel(recording, tune=["learning_rate"], fixed={**PLAIN, "batch_size": 8})
    # Trials write down where their recording is: here, beside them.
    with contextlib.chdir(folder):
        tuner = IsolatedRandomSearch(hypermodel, max_trials=2, seed=0, directory=".", project_name="search")
        tuner.search(epochs=1, verbose=0)
    for path in (folder / "search").rglob("*.keras"):
        compress(path)
        (path.parent / "log.txt").unlink()


def main(folder):
    """Writes the set into a folder that does not exist."""
    folder = Path(folder)
    (folder / "models").mkdir(parents=True)
    known = {path.stem for path in folder.parent.glob("*/models/*.keras")}
    write_models(folder / "models", known)
    if known:
        return
    recording = lorenz(**LORENZ)
    save_recording(recording, folder / "recording.h5")
    write_runs(folder, recording)
    write_search(folder, recording)
    # Nothing of the machine that wrote it is part of a set.
    for path in (*folder.rglob("run.json"), *folder.rglob("job.json")):
        text = path.read_text().replace(str(folder), "/data").replace(platform.platform(), platform.system())
        path.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())

"""The names at the root, as a user's type checker sees them; read by `make lint`, never run."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np

import indl

recording = indl.lorenz(seed=0, heldout=7)
assert_type(recording, indl.Recording)
assert_type(recording.train.encod, np.ndarray)
assert_type(indl.load_recording("recording.h5"), indl.Recording)
trials = indl.Trials(np.zeros((2, 3, 4)), bin_width_s=0.02)
assert_type(trials, indl.Trials)
assert_type(trials.split(heldout=1), indl.Recording)

params = indl.preset("lfads", f_latent_size=8)
assert_type(params, dict[str, Any])
result = indl.train(params, recording, epochs=3)
assert_type(result.best_epoch, int)
assert_type(result.history, dict[str, list[float]])
model = indl.build_sequential_vae(params, None, 22)
assert_type(model, indl.SequentialVAE)
assert_type(model.rates(recording.valid.encod), np.ndarray)
assert_type(model.latent_names, list[str])
assert_type(indl.load_model("run").params, dict[str, Any])
assert_type(indl.evaluate(model, recording)["co_bps"], float)
assert_type(indl.export_saved_model(model, "exported"), Path)

indl.lorens()  # type: ignore[attr-defined]
indl.train(params)  # type: ignore[call-arg]
indl.preset(3)  # type: ignore[arg-type]

"""The sequential models as a family."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

from indl.data.batches.augmentation import Augmentation
from indl.data.batches.batches import Batches
from indl.data.batches.sample_mask import SampleMask
from indl.data.values.recording import Recording
from indl.feed.tf_data import dataset
from indl.model.assemble import build_sequential_vae
from indl.model.families.base import Family
from indl.model.inputs.of_recording import arrays_of, inputs_of
from indl.model.inputs.sequences import sequence_rows, sequences_of
from indl.model.memory import Memory, sequence_memory
from indl.model.sequence_model import SequentialVAE
from indl.model.steps.guarded_adam import GuardedAdam
from indl.params import validate_params
from indl.params.objectives import estimates_aggregate
from indl.params.presets import SEQUENCE


class SequenceFamily(Family):
    """LFADS, DSAE and all that :func:`~indl.model.assemble.build_sequential_vae` assembles."""

    table = SEQUENCE
    model = SequentialVAE

    def params_for(self, params: Mapping[str, Any], recording: Recording) -> Mapping[str, Any]:
        """The complete params with channels, forward steps, sessions and whatever else the recording determines.

        Raises:
            ValueError: params that do not validate, an f-encoder segment as long as the trials, or no sequences for a
                prior of them.
        """
        given: dict[str, Any] = {
            "out_dim": recording.n_heldin + recording.n_heldout,
            "forward_steps": recording.forward_steps,
        }
        if recording.has_missing:
            given["missing_data"] = True
        if isinstance(params, Mapping) and estimates_aggregate(params):
            given["n_data"] = len(recording.train.encod)
        if recording.train.ext_input is not None:
            given["ext_input_dim"] = recording.train.ext_input.shape[-1]
        if recording.train.session is not None and isinstance(params, Mapping):
            found = 1 + int(max(part.session.max() for part in (recording.train, recording.valid)))
            # A model of more sessions may go on with the trials of some.
            given["n_sessions"] = max(found, params.get("n_sessions", 1))
        if isinstance(params, Mapping) and params.get("u_type") == "discrete" and not params.get("u_per_step"):
            # Labels that are no numbers from 0 on are refused where they are read.
            labels = [part.label for part in (recording.train, recording.valid) if part.label is not None]
            found = [int(label.max()) + 1 for label in labels if label.dtype.kind in "iu"]
            if isinstance(params.get("u_dim", 0), int):
                given["u_dim"] = max([params.get("u_dim", 0), *found])
        p = validate_params({**params, **given} if isinstance(params, Mapping) else params)
        if p["f_enc_input_samps"] >= recording.n_times:
            raise ValueError(
                "The segment of the f-encoder must be shorter than the trials. "
                f"Given: f_enc_input_samps={p['f_enc_input_samps']}, {recording.n_times} bins. Shorten the segment."
            )
        if p["f_latent_size"] and p["f_prior_type"] == "lookup":
            p = validate_params({**p, **sequences_of(recording, p)})
        return p

    def memory(self, params: Mapping[str, Any], recording: Recording) -> Memory:
        return sequence_memory(params, len(recording.train.encod), recording.n_times, recording.n_heldin)

    def build(self, params: Mapping[str, Any], recording: Recording) -> SequentialVAE:
        """The model, with its read-out at the mean rates of the training trials, whose sequences it knows."""
        model = build_sequential_vae(params, None, recording.n_heldin)
        if "index" in model.reads.symbols:
            model.init_sequences(*(sequence_rows(part, params) for part in (recording.train, recording.valid)))
        if params["init_rate_bias"] is None:
            model.init_readout(recording.train.recon, recording.train.session)
        return model

    def compile(self, model: SequentialVAE, params: Mapping[str, Any], n_trials: int, epochs: int) -> None:
        model.compile(optimizer=make_optimizer(params, n_trials, epochs))

    def batches(self, params: Mapping[str, Any], recording: Recording, first: int = 0) -> dict[str, Any]:
        """The arguments of ``fit`` that feed it the trials of a recording, in an order that seed and epoch determine.

        Training batches are augmented; the mask of sample validation is the same in every epoch, and each part has
        its own.

        Raises:
            ValueError: spike jitter of a recording that is not of spike counts.
        """
        reads = ("x", *(("ext_input",) if params["ext_input_dim"] else ()))
        reads += (*(("session",) if params["n_sessions"] > 1 else ()), *(("u",) if params["u_dim"] else ()))
        reads += ("index",) if params["f_latent_size"] and params["f_prior_type"] == "lookup" else ()
        jitter, shift, rate = (
            params[key] for key in ("spike_jitter_width", "temporal_shift_std", "sample_validation_rate")
        )
        if jitter and not recording.are_counts:
            raise ValueError(
                f"Spike jitter moves spikes. Given: spike_jitter_width={jitter}, a recording of signals. Use "
                "temporal_shift_std for signals."
            )
        parts = [arrays_of(part, reads, params) for part in (recording.train, recording.valid)]
        if rate:
            reads = (*reads, "sample_mask")
            for i, arrays in enumerate(parts):
                arrays["sample_mask"] = SampleMask(arrays["x"].shape, rate, seed=(params["seed"], i))
        augment = Augmentation(jitter, shift, params["temporal_shift_max"]) if jitter or shift else None
        train = self._dealt(params, recording, parts[0], augment=augment)
        # A pass without gradients takes less than half the memory of a step.
        valid = Batches(parts[1], 2 * params["batch_size"], shuffle=False)
        names = ({name: name for name in reads} if len(reads) > 1 else "x", "target")
        return {
            "x": dataset(train, names, first_epoch=first),
            "steps_per_epoch": len(train),
            "initial_epoch": first,
            "validation_data": dataset(valid, names, epochs=1),
            "shuffle": False,
        }

    def steps_per_epoch(self, params: Mapping[str, Any], recording: Recording) -> int:
        return len(self._dealt(params, recording, {"x": recording.train.encod}))

    def monitor(self, params: Mapping[str, Any]) -> str:
        if params["monitor"] != "auto":
            return params["monitor"]
        return "val_hidden_nll" if params["coordinated_dropout_rate"] > 0 else "val_neg_elbo"

    def check(self, model: SequentialVAE, recording: Recording) -> None:
        for part in (recording.train, recording.valid):
            given = inputs_of(model, part, labels=True)
            model.check_arrays(given, part.recon)
            model.reads.check_labels(given)

    def _dealt(
        self, params: Mapping[str, Any], recording: Recording, arrays: Mapping[str, Any], **kwargs: Any
    ) -> Batches:
        """Training batches, which hold as many trials of each session as of the others."""
        session = recording.train.session if params["n_sessions"] > 1 else None
        return Batches(arrays, params["batch_size"], seed=params["seed"], session=session, **kwargs)


def make_optimizer(params: Mapping[str, Any], n_trials: int, epochs: int | None = None) -> keras.optimizers.Optimizer:
    """Adam with global-norm clipping and the learning-rate schedule of the params; it skips non-finite gradients.

    The rates of ``"plateau"`` are those of a callback, :class:`~indl.training.plateau.PlateauRate`.
    """
    rate: Any = params["learning_rate"]
    if params["lr_schedule"] == "cosine":
        steps = math.ceil(n_trials / params["batch_size"]) * (epochs or params["epochs"])
        rate = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02)
    return GuardedAdam(
        rate, beta_1=params["adam_beta_1"], global_clipnorm=params["max_grad_norm"], epsilon=params["adam_epsilon"]
    )

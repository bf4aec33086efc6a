"""Everything a trained model is judged by, in one dict of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from indl import metrics
from indl.data.values.recording import Recording, Split
from indl.dists.observations import PoissonObservation
from indl.evaluation.gathering import Scores, by_dimension
from indl.evaluation.rows import evaluate_rows
from indl.metrics.cosmoothing_baselines import are_counts
from indl.metrics.smoothing_baseline import score_heldout, score_latents, score_rates
from indl.model.inputs.of_recording import inputs_of
from indl.model.latent_model import LatentModel
from indl.model.pi_vae.model import PiVAE
from indl.training.hidden import hidden_nll

#: Smoothing of the trial averages that condition-averaged rates are compared with, in seconds. The Neural Latents
#: Benchmark uses 40 to 70 ms.
PSTH_SD_S = 0.05
#: Below this ceiling ``psth_r2`` is left out: more than four fifths of what it would be compared with are noise.
LEAST_CEILING = 0.2
_BEHAVIOR = ("behavior_r2", "behavior_r2_se")


def evaluate(model: LatentModel, recording: Recording, samples: int = 50, seed: int = 0, lag_s: float = 0.0) -> Scores:
    """Scores of a model on the validation trials of a recording.

    Args:
        model: a trained model.
        recording: read-outs and decoders are fitted on its training trials.
        samples: posterior samples whose rates are averaged; 0: posterior means.
        seed: seed of the samples and of the bootstrap.
        lag_s: seconds by which behaviour is later than the rates that it is decoded from.

    Returns:
        ``nll``, ``kl_f``, ``kl_z``, ``neg_elbo``, ``hidden_nll`` in nats per trial; and, where the recording has what
        they need, ``rate_r2_flat``, ``rate_r2_per_channel``, ``latent_r2`` (mean) and ``latent_r2_1`` ...,
        ``co_bps`` (bits/spike of the held-out channels), ``fp_bps`` (bits/spike of all channels in the forward steps),
        ``psth_r2`` (rates averaged by label against the averages of training counts, both smoothed with
        :data:`PSTH_SD_S`) and ``psth_r2_ceiling``, what the true averages would reach
        (:func:`~indl.metrics.psth.psth_ceiling`; of less than :data:`LEAST_CEILING`, ``psth_r2`` is left out),
        ``behavior_r2`` and ``behavior_r2_1`` ...; bootstrap standard errors over validation trials
        in ``co_bps_se``, ``fp_bps_se`` and ``behavior_r2_se``. A score that cannot be computed from these data is NaN,
        with the reason in ``left_out``. Missing samples (NaN) are left out of every score.
        A model of labels has them for its bound (``nll`` to ``neg_elbo``, of log p(x | u)); all other scores withhold
        them, which ``labels_seen`` = 0 says. Where it is 1, ``q_cond="concat"`` cannot do without: scores of what the
        labels tell are then circular. Of pi-VAE, see :func:`indl.evaluation.rows.evaluate_rows`.

    Raises:
        ValueError: the recording has other channels or forward steps than the model.

    Warns:
        UserWarning: a score could not be computed.
    """
    _check_sizes(model, recording)
    if isinstance(model, PiVAE):
        return evaluate_rows(model, recording, samples, seed)
    train, valid = recording.train, recording.valid
    fitted_on, scored_on = (inputs_of(model, part) for part in (train, valid))
    out = Scores()

    def bound() -> dict[str, Any]:
        terms = model.evaluate(
            inputs_of(model, valid, labels=True),
            valid.recon,
            verbose=0,
            return_dict=True,
            batch_size=model.rows_at_once(),
        )
        return {name: terms[name] for name in model.objective.scores}

    out.add(bound, *model.objective.scores)
    if model.labels is not None:
        out["labels_seen"] = float(model.needs_labels)
    out.add(lambda: {"hidden_nll": hidden_nll(model, valid)}, "hidden_nll")
    rates = model.rates(scored_on, samples, seed)
    if valid.truth is not None:
        out.add(lambda: {"rate_r2_flat": metrics.rate_r2_flat(rates, valid.truth)}, "rate_r2_flat")
        out.add(lambda: {"rate_r2_per_channel": metrics.rate_r2_per_channel(rates, valid.truth)}, "rate_r2_per_channel")
    if valid.latents is not None:
        bins = valid.latents.shape[1]

        def latents() -> dict[str, float]:
            factors = [model.factors(x, samples, seed)[:, :bins] for x in (fitted_on, scored_on)]
            return by_dimension("latent_r2", metrics.latent_r2(factors[0], train.latents, factors[1], valid.latents))

        out.add(latents, "latent_r2")

    def bits(name: str, score: Callable[..., float], error: Callable[..., float], *given: Any) -> None:
        out.add(lambda: {name: score(*given), f"{name}_se": error(*given, seed=seed)}, name, f"{name}_se")

    if recording.n_heldout and model.observation == PoissonObservation.__name__:
        held_out = (rates, valid.recon, recording.n_heldin, recording.n_times)
        bits("co_bps", metrics.cosmoothing, metrics.cosmoothing_se, *held_out)
    if recording.forward_steps and model.observation == PoissonObservation.__name__:
        forward = (rates, valid.recon, recording.n_times)
        bits("fp_bps", metrics.forward_prediction, metrics.forward_prediction_se, *forward)
    # What is compared with is smoothed: true rates reach the ceiling where they are, too.
    _add_averages(out, recording, metrics.smooth_observed(rates, PSTH_SD_S / recording.bin_width_s))
    if valid.behavior is not None:
        out.add(lambda: _decode(recording, model.rates(fitted_on, samples, seed), rates, lag_s, seed), *_BEHAVIOR)
    return out


def _check_sizes(model: LatentModel, recording: Recording) -> None:
    """Refuses a recording of other sizes, some of whose scores would be of other channels or bins."""
    if not isinstance(recording, Recording):
        raise TypeError(
            f"Scores need a Recording, with a part to fit on. Given: {type(recording).__name__}. Make one with "
            "Trials.split or read_recording."
        )
    p = model.params or {}
    known = (
        {"x_dim": "n_heldin"}
        if isinstance(model, PiVAE)
        else {"out_dim": "n_channels", "forward_steps": "forward_steps"}
    )
    pairs = [(name, p[name], getattr(recording, size)) for name, size in known.items() if p.get(name) is not None]
    if not isinstance(model, PiVAE):
        pairs.append(("held-in channels", model.x.shape[-1], recording.n_heldin))
    other = [f"{name} {given} for {wanted}" for name, wanted, given in pairs if given != wanted]
    if other:
        raise ValueError(
            f"The recording is not one that the model was made for. Given: {', '.join(other)}. Split it as that of "
            "training was: the same channels held out, the same forward steps."
        )


def evaluate_baseline(recording: Recording, seed: int = 0, lag_s: float = 0.0) -> Scores:
    """The scores of :func:`evaluate` that smoothed spikes reach, under the same names.

    Smoothing and penalties are chosen on the training trials. Behaviour is decoded by ridge regression from the
    counts of all channels, smoothed with 100 ms; held-out channels are predicted by a ridge Poisson regression;
    ``psth_r2`` is that of counts smoothed with :data:`PSTH_SD_S`.
    """
    out = Scores()
    if recording.train.truth is not None:
        names = ("rate_r2_flat", "rate_r2_per_channel")
        out.add(lambda: {name: value for name, value in score_rates(recording).items() if name in names}, *names)
    if recording.train.latents is not None:
        out.add(lambda: by_dimension("latent_r2", score_latents(recording)["latent_r2"]), "latent_r2")
    if recording.n_heldout and are_counts(recording):

        def heldout() -> dict[str, float]:
            found = score_heldout(recording, seed=seed)
            return {"co_bps": found["cosmoothing"], "co_bps_se": found["cosmoothing_se"]}

        out.add(heldout, "co_bps", "co_bps_se")
    fill = metrics.channel_means(recording.train.recon)

    def smoothed(part: Split, sd_s: float) -> np.ndarray:
        return metrics.smooth_observed(part.recon, sd_s / recording.bin_width_s, fill)

    _add_averages(out, recording, smoothed(recording.valid, PSTH_SD_S))
    if recording.valid.behavior is not None:
        parts = (recording.train, recording.valid)
        out.add(lambda: _decode(recording, *(smoothed(part, 0.1) for part in parts), lag_s, seed), *_BEHAVIOR)
    return out


def _add_averages(out: Scores, recording: Recording, rates: np.ndarray) -> None:
    """Adds what :func:`_score_averages` gives, without the score where it would measure noise."""
    out.add(lambda: _score_averages(recording, rates), "psth_r2", "psth_r2_ceiling")
    if out.get("psth_r2_ceiling", 1.0) < LEAST_CEILING:
        out.leave_out(
            "psth_r2",
            "Averages of so few trials are mostly noise. Given: true ones would reach R2 "
            f"{out['psth_r2_ceiling']:.2f} with {len(recording.train)} training trials of "
            f"{len(np.unique(recording.train.label))} conditions. Record more trials, or merge conditions.",
        )


def _score_averages(recording: Recording, rates: np.ndarray) -> dict[str, float]:
    """R2 of averaged, smoothed rates of the validation part against trial averages of the training part; its most."""
    train, valid = recording.train, recording.valid
    if train.label is None or valid.label is None:
        return {}
    _, label = np.unique(np.concatenate([train.label, valid.label]), return_inverse=True)
    fitted, scored = label[: len(train)], label[len(train) :]
    sd_bins = PSTH_SD_S / recording.bin_width_s
    averages = metrics.psth(train.recon, fitted, sd_bins)
    shared = np.isin(scored, fitted)
    if not shared.any():
        return {}
    # A sample that was not recorded is in no average of counts; so is its rate. A session may lack whole channels.
    rates = np.where(np.isnan(valid.recon), np.nan, rates)[shared]
    exist = ~np.isnan(rates).all((0, 1)) & ~np.isnan(averages).all((0, 1))
    return {
        "psth_r2": metrics.psth_r2(rates[..., exist], scored[shared], averages[..., exist]),
        "psth_r2_ceiling": metrics.psth_ceiling(train.recon[:][..., exist], fitted, sd_bins).mean(),
    }


def decode_behavior(
    recording: Recording, fitted: np.ndarray, scored: np.ndarray, lag_s: float = 0.0, seed: int = 0
) -> metrics.Decoding:
    """Ridge decoding of the validation part's behaviour, which may end before the forward steps.

    Args:
        recording: a recording with behaviour.
        fitted: features of the training trials, (trials, time, features).
        scored: features of the validation trials.
        lag_s: seconds by which behaviour is later than the features.
        seed: seed of folds and resamples.
    """
    train, valid = recording.train.behavior, recording.valid.behavior
    lag = round(lag_s / recording.bin_width_s)
    return metrics.ridge_decoding(
        fitted[:, : train.shape[1]], train, scored[:, : valid.shape[1]], valid, lag_bins=lag, seed=seed
    )


def _decode(recording: Recording, fitted: np.ndarray, scored: np.ndarray, lag_s: float, seed: int) -> dict[str, float]:
    decoded = decode_behavior(recording, fitted, scored, lag_s, seed)
    return {**by_dimension("behavior_r2", decoded.r2_per_dim), "behavior_r2_se": decoded.se}

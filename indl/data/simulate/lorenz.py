"""Seeded synthetic recordings whose rates and latents are known."""

from numbers import Real

import numpy as np

from indl.data.checks.arrays import check_bin_width, check_whole
from indl.data.values.recording import Recording, Split
from indl.text import shown

_STEP_S = 0.001
_EULER_DT = 0.006
_BURN_IN_STEPS = 500

#: The largest that each size may be.
LIMITS = {"n_neurons": 10_000, "n_conditions": 10_000, "n_trials": 100_000, "n_bins": 100_000}
#: The most milliseconds of a trial, and the highest rate, in Hz, of one spike each.
_MOST_STEPS = 1_000_000
MOST_HZ = 1000.0
#: The most numbers in one array, 1 GiB of them.
_MOST_NUMBERS = 2**28


def lorenz(
    n_neurons: int = 29,
    n_conditions: int = 65,
    n_trials: int = 24,
    n_bins: int = 50,
    bin_width_s: float = 0.02,
    base_rate_hz: float = 5.0,
    seed: int = 0,
    *,
    heldout: int = 0,
) -> Recording:
    """Spikes of neurons that are driven by a Lorenz attractor, the usual test of LFADS.

    Every condition is one trajectory of the attractor (sigma 10, rho 28, beta 8/3, Euler steps
    of 0.006 a millisecond, start N(0, I) + (0, 0, 25), 500 steps discarded). The three latents
    are centred over the time of their condition, and each is divided by its largest absolute
    value over all conditions. Log rates are the log of the base rate plus the latents times a
    random loading, U(1, 2) with a random sign. Spikes are Poisson draws in 1 ms steps, at most
    one a step, summed in bins. Every fifth trial is for validation.

    The recipe is that of the demonstration generator of lfads-run-manager, with three changes:
    the second Lorenz equation has its -y term, a latent has one scale for all conditions (there:
    the maximum of each condition), and loadings are not sorted, so that the signs of a neuron's
    three loadings are independent.

    `truth` is the mean rate of the bin times its width, the convention of published scores on
    this benchmark. Because a 1 ms step holds at most one spike, the expected count is smaller
    at high rates (1 - exp(-rate * 1 ms) a step: 0.2 % below at 5 Hz, 12 % at 255 Hz). With the
    default arguments the two agree with an R2 of 0.999 and their likelihoods differ by less than
    0.0001 nats a bin, far below what separates models.

    Args:
        n_neurons: Number of channels; the largest sizes are those of `LIMITS`.
        n_conditions: Number of trajectories.
        n_trials: Trials of each condition.
        n_bins: Bins of a trial.
        bin_width_s: Bin width in seconds, a whole number of milliseconds.
        base_rate_hz: Rate in Hz where the latents are zero, 1000 at most.
        seed: Seed of everything that is drawn.
        heldout: How many channels (the last ones) the encoder does not see.

    Returns:
        A `Recording` with `label` (condition), `truth` (expected counts per bin) and `latents`
        (mean of the bin, 3 dimensions). With the default arguments 1248 training and 312
        validation trials.

    Raises:
        ValueError: If a size is smaller than one or too large, there are fewer than 5 trials in all,
            or the bin width is no whole number of milliseconds.

    Example:
        >>> from indl.data import lorenz
        >>> lorenz(n_neurons=6, n_conditions=3, n_trials=5, n_bins=10).train.recon.shape
        (12, 10, 6)
    """
    steps_per_bin = _steps_per_bin(bin_width_s)
    sizes = {"n_neurons": n_neurons, "n_conditions": n_conditions, "n_trials": n_trials, "n_bins": n_bins}
    n_neurons, n_conditions, n_trials, n_bins = (check_whole(sizes[name], name, 1, LIMITS[name]) for name in sizes)
    _check_others(n_neurons, n_conditions, n_trials, base_rate_hz, heldout)
    _check_volume(n_neurons, n_conditions, n_trials, n_bins, steps_per_bin)
    rng = np.random.default_rng(check_whole(seed, "seed"))
    latents = _trajectories(n_conditions, n_bins * steps_per_bin, rng)
    latents -= latents.mean(axis=1, keepdims=True)
    latents /= np.abs(latents).max(axis=(0, 1))
    loading = (rng.random((3, n_neurons)) + 1.0) * rng.choice([-1.0, 1.0], (3, n_neurons))
    rates_hz = np.exp(latents @ loading + np.log(base_rate_hz))

    probability = (-np.expm1(-rates_hz * _STEP_S)).astype(np.float32)
    counts = np.empty((n_conditions, n_trials, n_bins, n_neurons), np.float32)
    for condition in range(n_conditions):
        # One condition at a time: the 1 ms raster of all of them would not be small.
        draws = rng.random((n_trials, *probability.shape[1:]), dtype=np.float32)
        spikes = (draws < probability[condition]).reshape(n_trials, n_bins, steps_per_bin, -1)
        counts[condition] = spikes.sum(axis=2)

    def binned(values):
        return values.reshape(n_conditions, n_bins, steps_per_bin, -1).mean(axis=2)

    label = np.repeat(np.arange(n_conditions), n_trials)
    arrays = {
        "recon": counts.reshape(-1, n_bins, n_neurons),
        "truth": binned(rates_hz)[label] * bin_width_s,
        "latents": binned(latents)[label],
        "label": label,
        "inds": np.arange(label.size),
    }
    arrays["encod"] = arrays["recon"][:, :, : n_neurons - heldout]
    is_valid = arrays["inds"] % 5 == 4
    return Recording(
        train=Split(**{name: array[~is_valid] for name, array in arrays.items()}),
        valid=Split(**{name: array[is_valid] for name, array in arrays.items()}),
        bin_width_s=bin_width_s,
        channel_ids=np.arange(n_neurons),
        attrs={"loading": loading, "base_rate_hz": base_rate_hz, "seed": seed},
        source=f"lorenz(seed={seed})",
    )


def _trajectories(n_conditions, n_steps, rng):
    """Trajectories of the Lorenz system after the burn-in, (conditions, steps, 3)."""
    state = rng.standard_normal((n_conditions, 3)) + (0.0, 0.0, 25.0)
    path = np.empty((n_conditions, n_steps, 3))
    for step in range(-_BURN_IN_STEPS, n_steps):
        if step >= 0:
            path[:, step] = state
        x, y, z = state.T
        velocity = np.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z], axis=1)
        state = state + _EULER_DT * velocity
    return path


def _steps_per_bin(bin_width_s):
    steps = check_bin_width(bin_width_s) / _STEP_S
    if round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
        raise ValueError(
            f"The spikes are drawn in steps of 1 ms. Given: bins of {1000 * bin_width_s:g} ms. "
            "Give a whole number of milliseconds, e.g. 0.02."
        )
    return round(steps)


def _check_others(n_neurons, n_conditions, n_trials, base_rate_hz, heldout):
    if n_conditions * n_trials < 5:
        raise ValueError(
            "Every fifth trial is for validation, which needs 5 trials. Given: "
            f"{n_conditions} conditions of {n_trials} trials. Raise n_conditions or n_trials."
        )
    if isinstance(base_rate_hz, bool) or not isinstance(base_rate_hz, Real) or not 0 < base_rate_hz <= MOST_HZ:
        raise ValueError(
            f"base_rate_hz must be positive, and {MOST_HZ:g} at most. Given: {shown(base_rate_hz)}. Give a rate in Hz, "
            "e.g. 5."
        )
    if not 0 <= heldout < n_neurons:
        raise ValueError(
            f"heldout must leave at least one channel for the encoder. Given: {heldout} of "
            f"{n_neurons} channels. Give a number from 0 to {n_neurons - 1}."
        )


def _check_volume(n_neurons, n_conditions, n_trials, n_bins, steps_per_bin):
    """Refuses what no memory is taken for: the counts of all trials, and the raster of a condition."""
    steps = n_bins * steps_per_bin
    most = max(n_conditions * n_trials * n_bins, max(n_conditions, n_trials) * steps) * n_neurons
    if steps > _MOST_STEPS or most > _MOST_NUMBERS:
        raise ValueError(
            f"The recording is too large to simulate. Given: trials of {steps} ms, and {most} numbers in one array, of "
            f"{_MOST_NUMBERS} at most. Lower n_neurons, n_conditions, n_trials or n_bins."
        )

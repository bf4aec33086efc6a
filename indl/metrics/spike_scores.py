"""Likelihood of spike counts, and bits per spike as the Neural Latents Benchmark defines it.

Source: Pei et al. 2021, "Neural Latents Benchmark '21"; same numbers as its `nlb_tools`.
"""

import numpy as np
from scipy.special import gammaln, xlogy

from indl.data.checks.masks import as_array
from indl.metrics.bootstrap import standard_error, trial_weights

_SMALLEST_RATE = 1e-9


def poisson_nll(rates, counts):
    """Negative log-likelihood of counts under Poisson rates, summed over all bins.

    Args:
        rates: Expected counts per bin, shape of `counts` (or one that broadcasts to it). A rate
            of zero counts as 1e-9; the array itself is not changed.
        counts: Spike counts, any shape. NaN marks bins that are left out.

    Returns:
        Sum of rate - count * log(rate) + log(count!), in nats.

    Raises:
        ValueError: If the shapes do not fit, or a rate of a scored bin is negative or not finite.
    """
    rates, counts, scored = _scored(rates, counts)
    rates, counts = rates[scored], counts[scored]
    return float(np.sum(rates - xlogy(counts, rates) + gammaln(counts + 1.0)))


def bits_per_spike(rates, counts, null=None):
    """How much better than a null model the rates explain the counts, per spike.

    (NLL of the null - NLL of the rates) / (number of spikes * log 2).

    Args:
        rates: Expected counts per bin, (trials, time, channels).
        counts: Spike counts, (trials, time, channels). NaN marks bins that are left out.
        null: Expected counts per bin of the null model, anything that broadcasts to `counts`.
            None: each channel's mean count over the evaluated data, as in the benchmark.

    Returns:
        Bits per spike; 0 is as good as the null model.

    Raises:
        ValueError: If the shapes do not fit, rates are negative or not finite, or there is no
            spike.

    Example:
        >>> import numpy as np
        >>> from indl.metrics import bits_per_spike
        >>> counts = np.array([[[0.0], [2.0]]])
        >>> round(bits_per_spike(counts, counts), 6)
        1.0
    """
    rates, counts, scored = _scored(rates, counts)
    n_spikes = counts[scored].sum()
    if not n_spikes > 0:
        raise ValueError(
            f"Bits per spike need at least one spike. Given: {int(scored.sum())} bins to score "
            "without any. Check the selection of trials and channels."
        )
    if null is None:
        axes = tuple(range(counts.ndim - 1))
        n_bins = scored.sum(axis=axes)
        null = np.where(scored, counts, 0.0).sum(axis=axes) / np.maximum(n_bins, 1)
    gain = poisson_nll(null, counts) - poisson_nll(rates, counts)
    return float(gain / n_spikes / np.log(2.0))


def cosmoothing(rates, counts, n_heldin, n_times=None):
    """Bits per spike of the channels that the encoder did not see (co-bps).

    Args:
        rates: Expected counts per bin, (trials, time, channels), held-in channels first.
        counts: Spike counts, shape of `rates`.
        n_heldin: Number of held-in channels.
        n_times: Number of bins the encoder saw; later ones are not scored. None: all.

    Returns:
        Bits per spike over the held-out channels and the first `n_times` bins; the null model
        is each held-out channel's mean over them.

    Raises:
        ValueError: If there is no held-out channel, or the shapes do not fit.
    """
    return bits_per_spike(*_heldout(rates, counts, n_heldin, n_times))


def forward_prediction(rates, counts, n_times):
    """Bits per spike of the bins after the last one that the encoder saw (fp-bps).

    Args:
        rates: Expected counts per bin, (trials, time, channels).
        counts: Spike counts, shape of `rates`.
        n_times: Number of bins the encoder saw.

    Returns:
        Bits per spike over all channels and the bins from `n_times` on.

    Raises:
        ValueError: If there is no later bin, or the shapes do not fit.
    """
    return bits_per_spike(*_forward(rates, counts, n_times))


def cosmoothing_se(rates, counts, n_heldin, n_times=None, *, n_resamples=1000, seed=0):
    """Bootstrap standard error of `cosmoothing` over trials.

    Every resample draws trials with replacement and computes its own null model.

    Args:
        rates: Expected counts per bin, (trials, time, channels), held-in channels first.
        counts: Spike counts, shape of `rates`.
        n_heldin: Number of held-in channels.
        n_times: Number of bins the encoder saw. None: all.
        n_resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        Standard deviation of the resampled bits per spike; NaN for a single trial.

    Raises:
        ValueError: If there is no held-out channel, or the shapes do not fit.
    """
    return _standard_error(*_heldout(rates, counts, n_heldin, n_times), n_resamples, seed)


def forward_prediction_se(rates, counts, n_times, *, n_resamples=1000, seed=0):
    """Bootstrap standard error of `forward_prediction` over trials, as :func:`cosmoothing_se`.

    Args:
        rates: Expected counts per bin, (trials, time, channels).
        counts: Spike counts, shape of `rates`.
        n_times: Number of bins the encoder saw.
        n_resamples: Number of resamples.
        seed: Seed of the resamples.

    Returns:
        Standard deviation of the resampled bits per spike; NaN for a single trial.

    Raises:
        ValueError: If there is no later bin, or the shapes do not fit.
    """
    return _standard_error(*_forward(rates, counts, n_times), n_resamples, seed)


def _standard_error(rates, counts, n_resamples, seed):
    """Of bits per spike over trials, (trials, time, channels)."""
    rates, counts, scored = _scored(rates, counts)
    counts = np.where(scored, counts, 0.0)
    # log(count!) is the same in both models, so that all a resample needs are sums per trial.
    model = np.where(scored, rates - xlogy(counts, rates), 0.0).sum(axis=(1, 2))
    weights = trial_weights(len(counts), n_resamples, seed)
    total = weights @ counts.sum(axis=1)
    null = (total - xlogy(total, total / np.maximum(weights @ scored.sum(axis=1), 1))).sum(axis=1)
    n_spikes = total.sum(axis=1)
    gain = np.where(n_spikes > 0, null - weights @ model, np.nan)
    return standard_error(gain / np.maximum(n_spikes, 1.0) / np.log(2.0), len(counts))


def _scored(rates, counts):
    """Both arrays as float64 of one shape, rates above zero, and the mask of bins to score."""
    rates, counts = as_array(rates, np.float64), as_array(counts, np.float64)
    try:
        rates = np.broadcast_to(rates, counts.shape)
    except ValueError as error:
        raise ValueError(
            f"Rates and counts must have one shape. Given: {rates.shape} and {counts.shape}. "
            "Select the same trials, bins and channels for both."
        ) from error
    scored = ~np.isnan(counts)
    wrong = scored & ~((rates >= 0) & np.isfinite(rates))
    if wrong.any():
        first = tuple(int(i) for i in np.unravel_index(np.argmax(wrong), wrong.shape))
        raise ValueError(
            f"Rates must be finite and not negative. Given: {int(wrong.sum())} that are not, the "
            f"first at {first}: {rates[first]}. Give expected counts per bin, not log rates."
        )
    return np.where(rates == 0, _SMALLEST_RATE, rates), counts, scored


def _heldout(rates, counts, n_heldin, n_times):
    rates, counts = as_array(rates), as_array(counts)
    if rates.ndim != 3 or rates.shape != counts.shape:
        raise ValueError(
            "Rates and counts must both be (trials, time, channels). Given: "
            f"{rates.shape} and {counts.shape}. Give both for all channels, held-in first."
        )
    if not 0 <= n_heldin < counts.shape[2]:
        raise ValueError(
            f"Co-smoothing needs held-out channels. Given: {counts.shape[2]} channels, {n_heldin} "
            "of them held-in. Hold channels out when the recording is made."
        )
    return rates[:, :n_times, n_heldin:], counts[:, :n_times, n_heldin:]


def _forward(rates, counts, n_times):
    rates, counts = as_array(rates), as_array(counts)
    if rates.ndim != 3 or rates.shape != counts.shape or not 0 <= n_times < counts.shape[1]:
        raise ValueError(
            "Forward prediction needs (trials, time, channels) with bins after those the encoder saw. Given: rates "
            f"{rates.shape}, counts {counts.shape} and n_times {n_times}. Reconstruct more bins than are encoded."
        )
    return rates[:, n_times:], counts[:, n_times:]

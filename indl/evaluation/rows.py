"""Scores of a model of independent rows, pi-VAE, on the bins of a recording."""

from __future__ import annotations

import numpy as np

from indl import metrics
from indl.data.values.recording import Recording
from indl.evaluation.gathering import Scores, by_dimension
from indl.model.pi_vae.model import PiVAE
from indl.model.pi_vae.of_recording import rows_of

#: Draws of each class from which labels are decoded.
_LABEL_SAMPLES = 200


def evaluate_rows(model: PiVAE, recording: Recording, samples: int = 50, seed: int = 0) -> Scores:
    """Scores on the validation part; arguments as :func:`indl.evaluation.scores.evaluate`.

    Returns:
        ``nll``, ``kl_z`` and ``neg_elbo`` in nats per bin, of log p(x | u) but for constants of the data, from
        `samples` draws (at least one). All else is from the encoder's mean, which sees no label: where the recording
        has what they need, ``rate_r2_flat``, ``latent_r2`` (mean) and ``latent_r2_1`` ...; and of classes
        ``label_error_rate``, the fraction of bins whose likeliest class is another one.
    """
    train, valid = (rows_of(part, model.params) for part in (recording.train, recording.valid))
    kl = float(np.mean(model.posterior(valid.x).product_kl(model.label_statistics(valid.u))))
    bound = float(model.neg_elbo(valid.x, valid.u, max(samples, 1), seed).mean())
    out = Scores()
    out.update(zip(model.objective.scores, (bound - kl, kl, bound), strict=True))
    codes = model.encode(valid.x)
    if recording.valid.truth is not None:
        truth = recording.valid.truth[:, : recording.n_times, : recording.n_heldin][valid.kept]
        out.add(lambda: {"rate_r2_flat": metrics.rate_r2_flat(model.decode(codes)[None], truth[None])}, "rate_r2_flat")
    if recording.valid.latents is not None:
        known = [part.latents[:, : recording.n_times][rows.kept][None] for part, rows in
                 ((recording.train, train), (recording.valid, valid))]  # fmt: skip

        def latents() -> dict[str, float]:
            found = metrics.latent_r2(model.encode(train.x)[None], known[0], codes[None], known[1])
            return by_dimension("latent_r2", found)

        out.add(latents, "latent_r2")
    if model.discrete:
        likely = model.label_posterior(valid.x, n_samples=_LABEL_SAMPLES, seed=seed).argmax(1)
        out["label_error_rate"] = metrics.label_error_rate(valid.u, model.classes[likely])
    return out

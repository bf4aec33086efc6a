"""The observation model p(x | factors)."""

from __future__ import annotations

from typing import Any

from indl.dists.observations import (
    BernoulliReadout,
    GammaReadout,
    GaussianReadout,
    PoissonReadout,
    SquaredErrorReadout,
    ZeroInflatedGammaReadout,
)
from indl.model.builders.frames import check_frame, create_frame_decoder, flat_frames
from indl.model.builders.shared import Params, required_session
from indl.params import validate_params


def output_dist(params: Params, factors: Any, session: Any = None, name: str = "") -> Any:
    """The observation model p(x | factors).

    Keys: output_dist, out_dim (required here), output_link, log_rate_clip, output_scale_link, gamma_loc,
    init_rate_bias, n_sessions, frame_shape, frame_filters. With a frame_shape the maps of
    :func:`~indl.model.builders.frames.create_frame_decoder` are read out, one map a colour for all pixels.

    Args:
        params: parameters.
        factors: (batch[, S], time, n_factors).
        session: with n_sessions > 1, the session of each trial, integers (batch,).
        name: prefix of the names and seeds of its layers, such as ``"m1_"``, for a builder that serves twice.

    Returns:
        A value of :mod:`indl.dists.observations` over (batch[, S], time, out_dim), for example a
        :class:`~indl.dists.observations.PoissonObservation`.

    Raises:
        ValueError: out_dim is None, or no session is given to a model of several.
    """
    p = validate_params(params)
    if p["out_dim"] is None:
        raise ValueError(
            "The observation model needs the number of target channels. Given: out_dim=None. "
            "Pass {**params, 'out_dim': n_channels}."
        )
    kind, n = p["output_dist"], p["out_dim"]
    if p["frame_shape"]:
        check_frame(p, n)
        factors, n = create_frame_decoder(p, factors, name), p["frame_shape"][-1]
    several = p["n_sessions"] > 1
    n_sessions = p["n_sessions"] if several else None
    shared = {"init_bias": p["init_rate_bias"], "n_sessions": n_sessions, "name": f"{name}readout"}
    if kind == "Poisson":
        readout = PoissonReadout(n, p["output_link"], p["log_rate_clip"], **shared)
    elif kind == "Bernoulli":
        readout = BernoulliReadout(n, **shared)
    elif kind == "MSE":
        readout = SquaredErrorReadout(n, **shared)
    elif kind == "Gamma":
        readout = GammaReadout(n, p["log_rate_clip"], **shared)
    elif kind == "ZeroInflatedGamma":
        readout = ZeroInflatedGammaReadout(n, p["gamma_loc"], **shared)
    else:
        readout = GaussianReadout(n, kind == "GaussianUnit", p["output_scale_link"], p["output_std"], **shared)
    if p["frame_shape"]:
        return flat_frames(readout(factors), name)
    return readout(factors, required_session(session)) if several else readout(factors)

"""What several builders share: seeds, dropout, penalties, and what must be given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from indl.layers.cell_l2 import CellL2
from indl.layers.masks import Dropout
from indl.params import CellSpec

Params = Mapping[str, Any]


def n_classes(p: Params) -> int | None:
    """How many classes labels have; None where they are vectors."""
    return p["u_dim"] if p["u_type"] == "discrete" else None


def required_labels(p: Params, u: Any) -> Any:
    if u is None:
        raise ValueError(
            f"A posterior with q_cond={p['q_cond']!r} reads labels. Given: u=None. Pass "
            "u=create_label_input(params, n_times), or set q_cond='none'."
        )
    return u


def required_session(session: Any) -> Any:
    if session is None:
        raise ValueError(
            "A model of several sessions must be told the session of each trial. Given: session=None. "
            'Pass session=keras.Input((), dtype="int32"), or set n_sessions=1.'
        )
    return session


def stream(p: Params, part: str) -> int:
    """The seed of one part's draws: the parts of a model share no random numbers."""
    return int(np.random.SeedSequence([p["seed"], *part.encode()]).generate_state(1)[0] >> 1)


def dropout(p: Params, x: Any, name: str) -> Any:
    return Dropout(p["dropout_rate"], seed=stream(p, name), name=name)(x) if p["dropout_rate"] else x


def penalty(p: Params, name: str) -> Any:
    """The L2 penalty of one kind of cell: that of LFADS, whose scales share one denominator, or Keras's."""
    generator = CellSpec.parse(p["gen_cell_type"])
    sizes = {"gen": generator.recurrent_entries(p["gen_n_hidden"])}
    if p["f_latent_size"]:
        sizes["f_enc"] = CellSpec.parse(p["f_rnn_type"]).recurrent_entries(p["f_units"])
    if p["z_latent_size"]:
        sizes["z_enc"] = CellSpec.parse(p["z1_rnn_type"]).recurrent_entries(p["z1_units"])
        sizes["con"] = generator.recurrent_entries(p["z2_units"]) if generator.kind == "Complex" else 0
    total = sum(size for key, size in sizes.items() if p[f"l2_{key}_scale"])
    if p[f"l2_{name}_scale"]:
        return CellL2(p[f"l2_{name}_scale"], total)
    return keras.regularizers.L2(p["gen_l2_reg"]) if name == "gen" and p["gen_l2_reg"] else None

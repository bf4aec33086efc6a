"""The search space of a preset, taken from the parameter table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from indl.params import Param, as_list
from indl.params.families import table_of
from indl.params.objectives import absent_rows
from indl.params.presets import SEQUENCE

#: What a search varies when nothing is said: regularisation, latent sizes and both beta schedules.
DEFAULT_SEARCH = (
    "learning_rate",
    "dropout_rate",
    "coordinated_dropout_rate",
    "gen_l2_reg",
    "n_factors",
    "z_latent_size",
    "kl_f_beta",
    "kl_f_schedule",
    "kl_f_ramp",
    "kl_z_beta",
    "kl_z_schedule",
    "kl_z_ramp",
)


def search_names(names: Iterable[str] | str | None, params: Mapping[str, Any]) -> list[str]:
    """The parameters to vary: checked, in the table's order, without those of a latent the model has not.

    Args:
        names: names or aliases; ``"all"``: every tunable parameter; None: :data:`DEFAULT_SEARCH`.
        params: the complete params of the preset.

    Raises:
        ValueError: a name that is unknown or not tunable.
    """
    table = table_of(params)
    # Of another family, which has few parameters to tune, all are varied.
    if names is None and table is SEQUENCE:
        chosen = set(DEFAULT_SEARCH)
    elif names in (None, "all"):
        chosen = {row.name for row in table.rows if row.tunable}
    else:
        chosen = {table.aliases.get(name, name) for name in ([names] if isinstance(names, str) else names)}
        for name in sorted(chosen):
            if name not in table.by_name or not table.by_name[name].tunable:
                tunable = ", ".join(row.name for row in table.rows if row.tunable)
                raise ValueError(f"Only a tunable parameter can be searched. Given: {name!r}. Choose from: {tunable}.")
        return [row.name for row in table.rows if row.name in chosen]
    if table is not SEQUENCE:
        return [row.name for row in table.rows if row.name in chosen]
    absent = [f"{latent}_" for latent in "fz" if params[f"{latent}_latent_size"] == 0]
    # A search must not switch a latent on or off, nor vary what the other latent does not have.
    absent += [prefix for latent in absent for prefix in (f"kl_{latent}", f"{latent[0]}1_", f"{latent[0]}2_")]
    absent += ["n_factors"] if params["n_factors"] == 0 else []
    if params["gen_cell_type"] in ("Dense", "GIN"):
        absent += ["gen_l2_reg", "l2_gen_scale"]
    else:
        # The generator has one penalty: a search varies that of the preset.
        absent += ["gen_l2_reg"] if params["l2_gen_scale"] else ["l2_gen_scale"]
    absent += absent_rows(params)
    # Without its label prior a model would not know what to do with labels.
    absent += ["z_prior_process"] if params["u_dim"] else []
    return [row.name for row in table.rows if row.name in chosen and not row.name.startswith(tuple(absent))]


def declare(hp: Any, names: Iterable[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Declares each parameter on a keras-tuner ``HyperParameters`` and returns the values it chose.

    The default of each is the preset's value. A ramp is searched only where its schedule has one.
    """
    names, rows = list(names), table_of(params).by_name
    values: dict[str, Any] = {}
    for name in names:
        latent = name[3] if name.startswith("kl_") and name.endswith("_ramp") else None
        schedule = f"kl_{latent}_schedule"
        if latent and schedule in names:
            kinds = dict.fromkeys([*rows[schedule].search[1], params[schedule]])
            with hp.conditional_scope(schedule, [kind for kind in kinds if kind != "constant"]):
                value = _declare_one(hp, rows[name], params[name])
            if values[schedule] != "constant":
                values[name] = value
        else:
            values[name] = _declare_one(hp, rows[name], params[name])
    return values


def _declare_one(hp: Any, row: Param, default: Any) -> Any:
    name = row.name
    kind, *space = row.search
    if kind == "choice":
        if row.kind == "units":
            units = as_list(default)
            default = units[0] if len(units) == 1 else None
        options = list(space[0])
        if default is not None and default not in options:
            options.append(default)
        return hp.Choice(name, options, default=default if default is not None else options[0])
    low, high = space
    sampling = "log" if kind == "log" else "linear"
    return hp.Float(name, low, high, sampling=sampling, default=min(max(default, low), high))

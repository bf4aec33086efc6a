"""How much memory training will take, estimated from the sizes alone, so that too much is refused before any is taken.

Weights are counted exactly, but for a few; what a training step holds is counted in values a row and layer, with
factors that were measured (docs/performance.md), and is right within a factor of two for models that matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from indl.machine import memory
from indl.params import RNN_CELLS, CellSpec, as_list
from indl.params.objectives import estimates_aggregate, latents_of
from indl.params.pi_vae import mlp_settings

Params = Mapping[str, Any]

_BYTES = 4  # Of a float32.
#: Copies of every weight: itself, its gradient, Adam's two moments, and that of the best epoch.
_COPIES = 5
#: Values that a step holds at once for each output of a dense layer, for each unit and gate of a recurrent one, for
#: each value of a posterior and its sample, and for each channel of input and target.
_DENSE, _GATE, _LATENT, _CHANNEL = 2, 3, 8, 5
#: Weights that are left out: of terms, of scales, of single numbers.
_OTHERS = 64
#: Sizes that the recording decides.
_OF_THE_DATA = ("out_dim", "x_dim", "u_dim", "ext_input_dim", "forward_steps", "n_data")
#: How many settings a message names, and the least share of the whole that each must have.
_NAMED, _SHARE = 3, 0.05

#: Parameters of an observation a channel that are read out, where they are several, and those beside them.
_PARAMETERS = {"Gaussian": 2, "Gamma": 2, "ZeroInflatedGamma": 3}
_BESIDE = {"ZeroInflatedGamma": 2}


class Memory(NamedTuple):
    """Numbers that are held at once in training.

    Attributes:
        weights: of all variables of the model.
        step: values, and gradients of them, of a training step.
    """

    weights: int = 0
    step: int = 0

    @property
    def bytes(self) -> int:
        """Bytes of all: weights with gradient, moments and best values, and the step."""
        return _BYTES * (_COPIES * self.weights + self.step)


def check_memory(
    params: Params, memory_of: Callable[[Params], Memory], data: Any, available: float | None = None
) -> None:
    """Refuses params of a model that would take more memory in training than there is.

    Args:
        params: complete params.
        memory_of: estimates the memory of such params.
        data: what the model is trained on, for the message.
        available: bytes there are. Default: those of the machine.

    Raises:
        ValueError: it would; the message names the settings that weigh most.
    """
    wanted, available = memory_of(params).bytes, memory() if available is None else available
    if wanted > available:
        named = ", ".join(f"{key}={params[key]!r}" for key in heaviest(params, memory_of))
        raise ValueError(
            f"The model would take about {wanted / 2**30:.1f} GiB in training, more than the {available / 2**30:.1f} "
            f"GiB of this machine. Given: {named}, for {data!r}. Make the first of them smaller."
        )


def heaviest(params: Params, memory_of: Callable[[Params], Memory]) -> list[str]:
    """The settings that weigh most, three at most: those without which, at 1, most of the memory would be saved."""
    whole = memory_of(params).bytes
    sizes = {key: value for key, value in params.items() if key not in _OF_THE_DATA and _is_size(value)}
    saved = {
        key: whole - memory_of({**params, key: [1] * len(value) if isinstance(value, list) else 1}).bytes
        for key, value in sizes.items()
    }
    first, *others = sorted(saved, key=saved.get, reverse=True)
    return [first, *(key for key in others if saved[key] > _SHARE * whole)][:_NAMED]


def sequence_memory(p: Params, n_trials: int, n_times: int, n_channels: int) -> Memory:
    """What a sequential model takes in training.

    Args:
        p: complete params.
        n_trials: training trials; a batch has no more.
        n_times: bins of a trial.
        n_channels: channels of the input.
    """
    trials, steps = min(p["batch_size"], n_trials), n_times + p["forward_steps"]
    f, z = p["f_latent_size"], p["z_latent_size"]
    bins, drawn = trials * n_times, trials * p["q_f_samples"]
    labels = p["u_dim"] if p["q_cond"] == "concat" else 0
    width = (p["frame_features"] if p["frame_shape"] else p["input_factors"] or n_channels) + labels
    complex_cell = p["gen_cell_type"] == "Complex"
    parts = [Memory(_OTHERS, bins * _CHANNEL * (n_channels + labels))]
    parts += [_prior(p, "f", trials, drawn), _prior(p, "z", trials, drawn * steps)]
    if p["input_factors"]:
        parts.append(_of_sessions(p["n_sessions"], trials, bins, n_channels, p["input_factors"]))
    if f:
        encoded, encoder = _encoder(p["f_rnn_type"], p["f_units"], p["f_rnn_merge"], bins, width)
        if p["f_enc_reduce"] == "all_last":
            encoded = sum(as_list(p["f_units"])) * (encoded // as_list(p["f_units"])[-1])
        parts += [encoder, _posterior(trials, drawn, encoded, f, p["f_latent_off_diag"])]
    if z:
        stage = p["f_to_z"] if f and p["f_to_z"] != "combiner" else None
        rows = (drawn if stage else trials) * steps
        encoded, encoder = _encoder(p["z1_rnn_type"], p["z1_units"], p["z1_merge"], rows, width + f * (stage == "z1"))
        parts.append(encoder)
        if not p["z_per_step"]:
            encoded = sum(as_list(p["z1_units"])) * (encoded // as_list(p["z1_units"])[-1])
        encoded += f * (stage == "z2")
        if p["z2_type"] and p["z2_units"] and not complex_cell:
            encoded, encoder = _encoder(p["z2_type"], p["z2_units"], "sum", rows, encoded)
            parts.append(encoder)
        if complex_cell:
            controller = _recurrent(CellSpec("Complex"), drawn * steps, encoded + p["n_factors"], p["z2_units"])
            parts += [controller, _posterior(drawn * steps, drawn * steps, p["z2_units"], z)]
        elif p["q_z_type"] == "combiner":
            units = as_list(p["z1_units"])[-1] if p["z1_rnn_type"] else encoded
            step = _dense(drawn * steps, encoded if p["use_generative_prior"] else z, units)
            parts += [step, _dense(drawn, f * (p["f_to_z"] == "combiner"), units)]
            parts.append(_posterior(drawn * steps, drawn * steps, units, z))
        else:
            heads, sampled = (rows, drawn * steps) if p["z_per_step"] else (rows // steps, drawn)
            parts.append(_posterior(heads, sampled, encoded, z, p["z_latent_off_diag"]))
    out, generator = _generator(p, drawn, steps, z + p["ext_input_dim"])
    factors = p["n_factors"] or out
    parts.append(generator)
    if p["n_factors"]:
        parts.append(_dense(drawn * steps, out, p["n_factors"]))
    parts.append(_objective(p, trials, steps))
    target, kind, read = p["out_dim"] or n_channels, p["output_dist"], drawn * steps
    if p["frame_shape"]:
        (height, width, colours), maps = p["frame_shape"], as_list(p["frame_filters"])[0]
        parts += [_convolutions(p, bins, colours, p["frame_features"]), _convolutions(p, read, maps, factors)]
        # Each pixel is read out by itself.
        target, read, factors = colours, read * height * width, maps
    channels, beside = target * _PARAMETERS.get(kind, 1), target * _BESIDE.get(kind, 0)
    parts += [
        _of_sessions(p["n_sessions"], drawn, read, factors, channels),
        Memory(p["n_sessions"] * beside, read * _CHANNEL * channels),
    ]
    return _sum(parts)


def pi_vae_memory(p: Params, n_rows: int) -> Memory:
    """What a pi-VAE takes in training.

    Args:
        p: complete params, with `x_dim`.
        n_rows: training rows; a batch has no more.
    """
    rows, x, z, u = min(p["batch_size"], n_rows), p["x_dim"], p["z_dim"], p["u_dim"] or 1
    prior = Memory(2 * u * z, rows * u) if p["discrete_labels"] else _mlp(rows, u, mlp_settings(p, "z_prior")[0], 2 * z)
    flow = _flow(
        rows,
        z,
        x,
        p["decoder_n_gin_blocks"],
        p["decoder_gin_block_depth"],
        p["decoder_share_couplings"],
        p["decoder_affine_input_layer_slice_dim"],
        mlp_settings(p, "decoder_affine")[0],
        mlp_settings(p, "decoder_nflow")[0],
    )
    encoder = _mlp(rows, x, mlp_settings(p, "encoder")[0], 2 * z)
    return _sum([encoder, prior, flow, Memory(x + _OTHERS, rows * (_CHANNEL * x + 2 * _LATENT * z))])


def _sum(parts: Iterable[Memory]) -> Memory:
    return Memory(*map(sum, zip(*parts, strict=True)))


def _dense(rows: int, inputs: int, outputs: int) -> Memory:
    return Memory((inputs + 1) * outputs, _DENSE * rows * outputs)


def _mlp(rows: int, inputs: int, hidden: Sequence[int], outputs: int) -> Memory:
    widths = [inputs, *hidden, outputs]
    return _sum(_dense(rows, a, b) for a, b in zip(widths, widths[1:], strict=False))


def _recurrent(cell: CellSpec, rows: int, inputs: int, units: int) -> Memory:
    """One layer of a recurrent cell, with a second bias that some have and a trained initial state."""
    return Memory(cell.blocks * units * (inputs + units + 3), _GATE * rows * cell.blocks * units)


def _encoder(kind: str | None, units: int | Sequence[int], merge: str, rows: int, inputs: int) -> tuple[int, Memory]:
    """Layers in a row: the width of the last one, and what they take."""
    cell, parts = CellSpec.parse(kind), [Memory()]
    for size in as_list(units) if kind else ():
        parts.append(_recurrent(cell, rows, inputs, size) if cell.blocks else _dense(rows, inputs, size))
        inputs = 2 * size if cell.both and merge == "concat" else size
    return inputs, _sum(parts)


def _posterior(rows: int, drawn: int, inputs: int, size: int, full: bool = False) -> Memory:
    """A Gaussian head of so many rows, and its samples."""
    entries = size * (size + 1) // 2 if full else size
    # The matrix that puts the entries of a full covariance into a triangle is a constant of the graph.
    triangle = entries * size * size + _DENSE * rows * size * size if full else 0
    step = rows * _DENSE * (size + entries) + drawn * _LATENT * size + triangle
    return Memory((inputs + 1) * (size + entries), step)


def _prior(p: Params, latent: str, trials: int, rows: int) -> Memory:
    """The prior of a latent that is drawn in so many rows of so many trials."""
    size, kind = p[f"{latent}_latent_size"], p["f_prior_type" if latent == "f" else "z_prior_process"]
    if size and kind == "cond":
        labels = rows if p["u_per_step"] else trials
        if p["u_type"] == "discrete":
            return Memory(2 * p["u_dim"] * size, labels * p["u_dim"])
        return _mlp(labels, p["u_dim"], as_list(p["u_units"]), 2 * size)
    if size and kind == "gated":
        hidden = _dense(rows, size, p["z_prior_units"]), _dense(rows, p["z_prior_units"], size)
        return _sum([*hidden, *hidden, *[_dense(rows, size, size)] * 2])
    if size and kind in ("linear", "mlp"):
        units = p["z_prior_units"] if kind == "mlp" else 0
        return _sum(
            [_dense(rows, size, size), *([_dense(rows, size, units), _dense(rows, units, size)] if units else [])]
        )
    if size and kind in RNN_CELLS:
        units = p["z_prior_units"]
        return _sum([_recurrent(CellSpec.parse(kind), rows, size, units), _dense(rows, units, 2 * size)])
    if size and latent == "f" and kind == "lookup":
        # Means, and of every trial its distances from all of them.
        return Memory(p["f_prior_n_seqs"] * (size + 2), trials * p["f_prior_n_seqs"])
    # A mean, a scale, and a time constant or degrees of freedom.
    return Memory(3 * size)


def _generator(p: Params, drawn: int, steps: int, inputs: int) -> tuple[int, Memory]:
    """The generator's width, and what it takes for so many trials with samples and bins, driven by so many inputs."""
    f, how, cell = p["f_latent_size"], p["f_to_gen"], CellSpec.parse(p["gen_cell_type"])
    rows, units = drawn * steps, as_list(p["gen_n_hidden"])
    inputs += f * (how in ("tile", "both"))
    if cell.kind == "GIN":
        hidden = [max(1, units[0] // 4)] * 2
        return units[0], _flow(rows, inputs, units[0], 2, 2, False, None, hidden, hidden)
    width, found = _encoder(p["gen_cell_type"], units, "concat", rows, inputs)
    starts = [_dense(drawn, f * (how in ("init", "both")), size) for size in units if cell.blocks]
    return width, _sum([found, *starts * (2 if cell.kind == "LSTM" else 1)])


def _objective(p: Params, trials: int, steps: int) -> Memory:
    """What compares the trials of a batch with each other, and the discriminator."""
    f, z = p["f_latent_size"], p["z_latent_size"] * steps
    if p["objective"] == "factor_vae":
        return _mlp(2 * trials, f, as_list(p["factor_units"]), 2)
    if not estimates_aggregate(p):
        return Memory()
    compared = ("f", "z") if p["fz_mi_weight"] else latents_of(p["tc_on"])
    pairs = p["q_f_samples"] * trials**2
    return Memory(0, _DENSE * pairs * sum({"f": f, "z": z}[latent] for latent in compared))


def _flow(
    rows: int,
    inputs: int,
    size: int,
    blocks: int,
    depth: int,
    share: bool,
    kept: int | None,
    hidden: Sequence[int],
    lift_hidden: Sequence[int],
) -> Memory:
    """An injective flow; see :class:`indl.layers.flows.InjectiveFlow`."""
    kept = size // 2 if kept is None else kept
    lift = _mlp(rows, inputs, lift_hidden, size - inputs) if size > inputs else Memory()
    coupling = _mlp(rows, kept, hidden, 2 * (size - kept) - 1)
    weights = blocks * (size + coupling.weights * (1 if share else depth))
    return _sum([lift, Memory(weights, blocks * depth * (coupling.step + _DENSE * rows * size))])


def _convolutions(p: Params, rows: int, maps: int, features: int) -> Memory:
    """The convolutions of so many frames, in either direction, and the dense layer to or from so many features.

    `maps` are those of the whole frame: colours before the encoder, and the maps after the decoder.
    """
    height, width, _ = p["frame_shape"]
    weights = step = 0
    for filters in as_list(p["frame_filters"]):
        weights += 16 * maps * filters + filters
        step += _DENSE * rows * height * width * max(maps, filters)
        height, width, maps = height // 2, width // 2, filters
    return _sum([Memory(weights, step), _dense(rows, height * width * maps, features)])


def _of_sessions(sessions: int, trials: int, rows: int, inputs: int, outputs: int) -> Memory:
    """A dense map of each session; of several, every trial has a copy of its own session's."""
    one = _dense(rows, inputs, outputs)
    copies = _DENSE * trials * one.weights if sessions > 1 else 0
    return Memory(sessions * one.weights, one.step + copies)


def _is_size(value: Any) -> bool:
    """Whether a setting is a whole number above 1, or a list of whole numbers."""
    if isinstance(value, list):
        return all(isinstance(size, int) for size in value)
    return isinstance(value, int) and value > 1

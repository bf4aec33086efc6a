"""What a trained sequential model makes of given, drawn or exchanged latents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from indl.data.checks.arrays import check_whole
from indl.model.inputs import arrays
from indl.model.inputs.arrays import ModelInputs
from indl.model.inputs.labels import LabelForm
from indl.model.inputs.of_recording import inputs_of, part_in
from indl.model.parts import part_of
from indl.model.passes import Passes
from indl.model.sequences import shifts
from indl.objectives import Context
from indl.text import shown


class Generation:
    """What a :class:`~indl.model.sequence_model.SequentialVAE` does with latents that it has not just encoded."""

    x: Any
    reads: ModelInputs
    passes: Passes
    context: Context
    labels: LabelForm | None
    latent_names: list[str]
    latent_ranks: Mapping[str, int]
    encode: Any
    _graph_outputs: Mapping[str, Any]
    _decoder: Any
    _read: Any
    _sample_layers: Any

    def decode(
        self, f: Any = None, z: Any = None, n_times: int | None = None, ext_input: Any = None, session: Any = None
    ) -> Any:
        """The observation model of given latents, as eager values.

        Args:
            f: (trials, F), for a model with a static latent.
            z: (trials, time, Z), for a model with a dynamic latent; (trials, Z) where one z drives all bins.
            n_times: bins to generate where no z has them.
            ext_input: (trials, time, D), for a model with external inputs. Default: zeros.
            session: of a model of several sessions, the number of the one to be read out, or one for each trial.
        """
        names = self.latent_names
        given = {"f": f, "z": z}
        for name in names:
            if given[name] is None:
                raise ValueError(
                    f"This model's decoder needs {name}. Given: None. Take it from encode or from a prior."
                )
        of_bins = "z" in names and self.latent_ranks["z"] == 3
        given = {name: arrays.numbers(given[name], name) for name in names}
        steps = n_times
        if of_bins:
            steps = given["z"].shape[1] if given["z"].ndim == 3 else None
        elif steps is None:
            raise ValueError("The number of bins is not known. Given: n_times=None. Pass n_times.")
        else:
            steps = check_whole(steps, "n_times", 1)
        forward, bins = self.context.forward_steps, self.x.shape[1]
        if bins is not None and not of_bins and steps != bins + forward:
            raise ValueError(
                f"This model generates trials of its own length. Given: {steps} bins for a model of {bins + forward}. "
                "Build it with n_times=None for any number of bins."
            )
        self._require_sampled_latents()
        shapes = {name: given[name].shape for name in names}
        wanted = {name: self._graph_outputs[name].shape[-1] for name in names}
        trials = {shape[0] for shape in shapes.values() if shape}
        fits = all(
            len(shape) == self.latent_ranks[name] and shape[-1] == wanted[name] for name, shape in shapes.items()
        )
        if len(trials) != 1 or not fits:
            raise ValueError(
                f"Latents must belong to the same trials and have the model's sizes. Given: shapes {shapes}, for "
                f"sizes {wanted}. Pass f (trials, size) and z (trials, {'time, ' if of_bins else ''}size), as encode "
                "returns them."
            )
        lost = {name: int((~np.isfinite(given[name])).sum()) for name in names}
        if any(lost.values()):
            raise ValueError(
                f"Latents must be finite. Given: {', '.join(f'{n} values of {name}' for name, n in lost.items() if n)} "
                "that are not. Leave those trials out."
            )
        # The input only lends its shape: nothing but the given latents reaches the generator.
        inputs = self.reads.blank(len(given[names[0]]), steps, {"ext_input": ext_input, "session": session})
        latents = {name: ops.convert_to_tensor(given[name], "float32") for name in names}
        if "z" in names and not of_bins:
            # In the graph it is a sequence of one step.
            latents["z"] = ops.expand_dims(latents["z"], -2)
        if self._decoder is None:
            self._decoder = self.passes.decoded(["p_x"])
        p_x = self._decoder(inputs, latents)["p_x"]
        # All samples of one given latent decode alike: the first stands for them.
        kind = type(self._graph_outputs["p_x"])
        return kind(*(value[:, 0] if len(value.shape) == 4 else value for value in tf.nest.flatten(p_x)))

    def generate(
        self,
        n: int,
        time: int,
        seed: int = 0,
        f: Any = None,
        z: Any = None,
        ext_input: Any = None,
        session: Any = None,
        u: Any = None,
        index: Any = None,
        fix_f: Any = None,
        fix_z: Any = None,
    ) -> dict[str, np.ndarray]:
        """Draws trials from the model: latents from their priors, then the generator.

        Args:
            n: trials.
            time: bins of each trial.
            seed: seed of all draws.
            f, z: latents to hold fixed, (n, F) and (n, time, Z), or (n, Z), instead of drawing them.
            ext_input: external input, (n, time, D), for a model with one. Default: zeros.
            session: of a model of several sessions, the one to draw trials of, or one for each trial.
            u: for a model with label priors, the label of all trials (a class, or a vector), of each trial (n first),
                or, with ``u_per_step``, of each bin of each trial (n, time first).
            index: for a model with a prior of sequences, the row of the one to draw trials of, or one for each trial.
                Default: each trial is of a new sequence.
            fix_f, fix_z: hold one latent while the other is drawn anew for each trial: True: at one draw of its prior;
                or at the value of one trial, (F,) or (time, Z), or (Z,).

        Raises:
            ValueError: the model is not variational, so it has no priors to draw from, and a latent is not given; or
                the prior of a latent that is not given depends on labels, and they are not given or do not fit; or a
                latent is both given and held.

        Returns:
            ``rates`` (n, time, channels), ``x`` (counts or signals drawn from them), and ``f``, ``z`` where present.
        """
        n, time, seed = check_whole(n, "n"), check_whole(time, "time", 1), check_whole(seed, "seed")
        names = self.latent_names
        given = {"f": f, "z": z}
        held = {name: fixed for name, fixed in (("f", fix_f), ("z", fix_z)) if fixed is not None and fixed is not False}
        for name, fixed in held.items():
            if given[name] is not None or name not in names:
                raise ValueError(
                    f"A latent is held at one value, or given for each trial. Given: fix_{name} for "
                    f"{'a model of ' + str(names) if name not in names else f'{name} too'}. Pass one of the two, for a "
                    "latent of the model."
                )
            if fixed is not True:
                one = arrays.numbers(fixed, f"fix_{name}")
                if one.ndim != self.latent_ranks[name] - 1:
                    axes = "(time, Z)" if self.latent_ranks[name] == 3 else f"({name.upper()},)"
                    raise ValueError(
                        f"A latent is held at the value of one trial. Given: fix_{name} of shape {one.shape}. Pass "
                        f"{axes}, such as q['q_{name}'].loc[0]; one for each trial is {name}=."
                    )
                given[name] = np.repeat(one[None], n, axis=0)
        for name, values in given.items():
            if values is None or name not in names:
                continue
            shape = np.shape(values)
            bins = shape[1] if name == "z" and self.latent_ranks["z"] == 3 and len(shape) == 3 else time
            if shape[:1] != (n,) or bins != time:
                raise ValueError(
                    f"A latent that is given has the trials and bins that are drawn. Given: {name} of shape {shape} "
                    f"for n={n}, time={time}. Pass one for each trial, or set n and time to its own."
                )
        # A seed for each part, so that neighbouring seeds share no numbers.
        seeds = [int(child) for child in np.random.SeedSequence(seed).generate_state(3) >> 1]
        if u is not None:
            if self.labels is None:
                raise ValueError(
                    "This model knows no labels. Given: u. Leave it out, or build the model with u_dim > 0."
                )
            u = self.labels.spread(arrays.numbers(u, "u"), n, time)
        if index is not None:
            index = self.reads.spread_index(index, n)
        if "f" in names and given["f"] is None:
            prior = self._prior("f")
            given["f"] = prior.draw(n, u={"u": u, "index": index}[prior.reads], seed=seeds[0])
        if "z" in names and given["z"] is None:
            given["z"] = self._prior("z").draw(n, time if self.latent_ranks["z"] == 3 else None, u, seeds[1])
        for name in (name for name, fixed in held.items() if fixed is True):
            given[name] = np.repeat(np.asarray(given[name])[:1], n, axis=0)
        p_x = self.decode(given["f"], given["z"], time, ext_input, session)
        out = {"rates": p_x.mean(), "x": p_x.sample(seeds[2]), **{name: given[name] for name in names}}
        return {name: np.asarray(value) for name, value in out.items()}

    def reconstruct(self, x: Any, swap: str | None = None, order: Any = None) -> np.ndarray:
        """Rates of trials whose static or dynamic latents were exchanged (swap test of disentanglement).

        Args:
            x: trials (trials, time, channels).
            swap: None: the trials' own latents. ``"f"``: trial i takes the static latent of trial order[i];
                ``"z"``: the dynamic one. ``"sequence"``, of a model with a prior of sequences, whose rows `x` names:
                trial i keeps where its f lies around the mean of its sequence, and takes the mean of that of
                trial order[i].
            order: indices into the trials. Default: the trials reversed.
        """
        part = part_in(x)
        if part is not None:
            x = inputs_of(self, part, labels=swap == "sequence")
        latents = {name[-1]: value.loc for name, value in self.encode(x).items()}
        if swap is not None:
            known = [*latents, *(("sequence",) if "index" in self.reads.symbols else ())]
            if swap not in known:
                raise ValueError(
                    f"Only a latent of the model can be swapped. Given: swap={swap!r}. Choose one of {sorted(known)}."
                )
            n = len(next(iter(latents.values())))
            order = np.arange(n)[::-1] if order is None else np.asarray(order)
            if order.dtype.kind not in "iu":
                raise ValueError(
                    f"The order must name one trial for each. Given: {shown(order)}. Pass whole numbers, which index x."
                )
            if order.shape != (n,) or order.min() < 0 or order.max() >= n:
                raise ValueError(
                    f"The order must name one trial for each. Given: {order.tolist()} for {n} trials. "
                    "Pass indices into x, for example np.random.default_rng(0).permutation(len(x))."
                )
            if swap == "sequence":
                self.reads.check_labels(x)
                latents["f"] = latents["f"] + shifts(self, x["index"], order)
            else:
                latents[swap] = latents[swap][order]
        return self.decode_as(x, **latents)

    def decode_as(self, x: Any, trial: int | None = None, **latents: Any) -> np.ndarray:
        """Rates of given latents in the setting of trials: their number of bins, external input and session.

        Args:
            x: trials (trials, time, channels).
            trial: the one whose setting all latents have. Default: each has that of its own trial.
            **latents: ``f`` and ``z``; see :meth:`decode`.
        """
        inputs = self._read(x)
        n = len(next(iter(latents.values())))
        if trial is not None:
            inputs = {name: np.repeat(values[trial : trial + 1], n, axis=0) for name, values in inputs.items()}
        steps = inputs["x"].shape[1] + self.context.forward_steps
        external, session = inputs.get("ext_input"), inputs.get("session")
        return np.asarray(self.decode(latents.get("f"), latents.get("z"), steps, external, session).mean())

    def _require_sampled_latents(self) -> None:
        layers = self._sample_layers()
        for name in self.latent_names:
            if self._graph_outputs[name].name not in layers:
                raise ValueError(
                    f"Only a latent that was sampled can be drawn or replaced. Given: the output {name!r}, which no "
                    f"Sample layer has made. Build the model with q_{name}.sample()."
                )

    def _prior(self, latent: str) -> Any:
        layer = part_of(self, f"{latent}_prior")
        if layer is None:
            raise ValueError(
                "An auto-encoder without priors cannot draw latents. Given: a model with variational=False. Pass its "
                f"latents {self.latent_names} (from encode), or train with variational=True."
            )
        return layer

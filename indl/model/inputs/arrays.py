"""The arrays that a sequential model reads: their names, shapes and form, what may be left out, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from indl.data.checks.arrays import as_trials
from indl.data.checks.masks import as_array
from indl.model.inputs.labels import LabelForm

#: What a model may read beside x.
_READS = {
    "ext_input": "what was applied or measured in every bin of the target, not the inferred inputs z",
    "sample_mask": "1 for each sample of x that sample validation leaves visible, 0 for the hidden ones",
    "session": "the number of each trial's session, counted from 0",
    "u": "the label of each trial, or of each bin of the target: a class counted from 0, or a vector",
    "index": "the row of each trial's sequence in the table of their means, counted from 0",
}


@dataclass(frozen=True)
class ModelInputs:
    """What a model reads. Inputs are always dicts of arrays by name here.

    Attributes:
        symbols: the symbolic inputs by name, ``x`` (batch, time, channels) among them.
        labels: the form of the labels; None: the model reads none.
        labels_needed: whether the encoders read labels, so that nothing can be inferred without.
        forward_steps: bins of the target beyond those of x.
        missing: whether x may hold NaN.
        n_sessions: sessions that the model knows.
        n_sequences: rows that ``index``, which training needs, may name.
        log1p: whether the encoders read log(1 + x).
    """

    symbols: Mapping[str, Any]
    labels: LabelForm | None = None
    labels_needed: bool = True
    forward_steps: int = 0
    missing: bool = False
    n_sessions: int = 1
    n_sequences: int = 0
    log1p: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What must be given: ``"x"``, and perhaps others; labels where the model cannot do without."""
        optional = {"sample_mask", "index"} if self.labels_needed else {"sample_mask", "index", "u"}
        return tuple(name for name in self.symbols if name not in optional)

    @property
    def learned(self) -> tuple[str, ...]:
        """What training must be given beside `names`: labels, and the sequences of trials."""
        return tuple(name for name in ("u", "index") if name in self.symbols and name not in self.names)

    def complete(self, x: Any) -> dict[str, Any]:
        """The inputs with a mask that hides nothing, and unknown labels and sequences, where the model reads them.

        Args:
            x: one array or tensor for x alone; or a dict.
        """
        given = dict(x) if isinstance(x, Mapping) else {"x": x}
        if "sample_mask" in self.symbols and "sample_mask" not in given:
            # A view on a single number costs no memory.
            is_array = isinstance(given["x"], np.ndarray)
            ones = np.broadcast_to(np.float32(1), given["x"].shape) if is_array else ops.ones_like(given["x"])
            given["sample_mask"] = ones
        if "u" in self.symbols and "u" not in given and not self.labels_needed:
            given["u"] = self.labels.unknown(given["x"], self.forward_steps)
        if "index" in self.symbols and "index" not in given:
            is_array = isinstance(given["x"], np.ndarray)
            trials = (given["x"].shape if is_array else ops.shape(given["x"]))[0]
            given["index"] = (np.full if is_array else ops.full)((trials,), -1.0, dtype="float32")
        return given

    def tidy(self, x: Any) -> Any:
        """Arrays as Keras takes them: objects that are numbers as numbers, one label a trial; anything else as it is.

        Args:
            x: one array, or a dict of them; or what else Keras takes.
        """
        if isinstance(x, Mapping):
            x = {name: self.tidy(values) for name, values in x.items()}
            if self.labels is not None and isinstance(x.get("u"), np.ndarray):
                x["u"] = self.labels.tidy(x["u"])
            return x
        return as_array(x) if isinstance(x, np.ndarray) else x

    def checked(self, x: Any, name: str = "x", check_bins: bool = True) -> dict[str, Any]:
        """The complete inputs as float32 arrays.

        Args:
            x: an array (trials, time, channels), for a model that needs no other; or a dict of arrays.
            name: what to call them in messages.
            check_bins: whether x must have as many bins as the model was built for.

        Raises:
            ValueError: other arrays than the model reads, or such that do not fit it or each other.
        """
        names = set(self.names)
        if not isinstance(x, Mapping):
            if len(names) > 1:
                raise ValueError(
                    f"This model reads more than one array. Given: {type(x).__name__} alone. Pass a dict with the keys "
                    f"{sorted(names)}: x (trials, time, channels), ext_input (trials, time, dimensions), session "
                    "(trials,), u the labels."
                )
            x = numbers(x, name)
            self.check_x(x, name, check_bins)
            return self.complete(x)
        if not names <= set(x) <= set(self.symbols):
            raise ValueError(
                f"The arrays are not those that the model reads. Given: {sorted(x)}. Pass {sorted(names)}."
            )
        arrays = {key: numbers(x[key], f"{name}[{key!r}]") for key in self.symbols if key in x}
        if "u" in arrays:
            arrays["u"] = self.labels.tidy(arrays["u"]).astype("float32", copy=False)
        self.check_x(arrays["x"], f"{name}['x']", check_bins)
        trials, bins = arrays["x"].shape[:2]
        if "u" in arrays:
            self.labels.check(arrays["u"], trials, bins + self.forward_steps, f"{name}['u']", self.labels_needed)
        for key in arrays.keys() - {"x", "u"}:
            steps = bins + self.forward_steps if key == "ext_input" else bins
            wanted = (trials, *(steps if size is None else size for size in self.symbols[key].shape[1:]))
            if arrays[key].shape != wanted or not np.isfinite(arrays[key]).all():
                raise ValueError(
                    f"{key} does not fit x and the model. Given: shape {arrays[key].shape}, "
                    f"{(~np.isfinite(arrays[key])).sum()} values that are not finite. It must be finite and of shape "
                    f"{wanted}: {_READS[key]}."
                )
        if "session" in arrays:
            self._check_session(arrays["session"])
        if "index" in arrays:
            self._check_index(arrays["index"])
        return self.complete(arrays)

    def check_x(self, x: Any, name: str = "x", check_bins: bool = True) -> None:
        """Refuses an array of another shape, or with values that cannot be."""
        _, bins, width = self.symbols["x"].shape
        if x.ndim == 2 and x.shape[1] == width:
            raise ValueError(
                f"{name} is one trial and lacks the axis of trials. Given: shape {x.shape} for (trials, time, "
                f"{width}). Pass {name}[None]."
            )
        if check_bins and x.ndim == 3 and bins is not None and x.shape[1] != bins:
            raise ValueError(
                f"{name} does not fit the model's input. Given: {x.shape[1]} bins for an input of {bins}. "
                "Cut the trials to that length, or build the model with n_times=None."
            )
        bad = np.isinf(x) if self.missing else ~np.isfinite(x)
        if x.ndim != 3 or x.shape[-1] != width or len(x) == 0 or bad.any():
            raise ValueError(
                f"{name} does not fit the model's input. Given: shape {x.shape}, {bad.sum()} values that "
                f"are not finite. It must be (trials, time, {width}), finite, with at least one trial: select the "
                "held-in channels that the model was built for; for NaN where samples are missing, build it with "
                "missing_data=True."
            )

        if self.log1p and (x <= -1).any():
            raise ValueError(
                f"{name} does not fit the model, which reads log(1 + x). Given: values down to {np.nanmin(x):.3g}. "
                "Pass counts, or build it with input_transform=None."
            )

    def check_for_training(self, x: Any, name: str = "x") -> None:
        """Refuses arrays without the mask, or the known labels, that training needs; data sets pass."""
        if not isinstance(x, Mapping | np.ndarray):
            return
        given = x if isinstance(x, Mapping) else {"x": x}
        if "sample_mask" in self.symbols and "sample_mask" not in given and isinstance(given["x"], np.ndarray):
            raise ValueError(
                f"A model with sample validation is trained with a fixed mask. Given: {name} without sample_mask. Pass "
                "{'x': x, 'sample_mask': SampleMask(x.shape, rate, seed)[:]} of indl.data.batches.sample_mask, with "
                "another seed for the validation trials; or call indl.training.train."
            )
        self.check_labels(x, name)

    def check_labels(self, x: Any, name: str = "x") -> None:
        """Refuses arrays without labels or sequences, or with unknown ones, where the model learns from them.

        Data sets pass.
        """
        if not isinstance(x, Mapping | np.ndarray):
            return
        if "index" in self.symbols:
            self.check_has_index(x, name)
            self._check_index(np.asarray(x["index"]), known=True)
        if self.labels is None:
            return
        if not isinstance(x, Mapping) or "u" not in x:
            raise self.labels.missing(name)
        arrays = self.checked(x, name)
        bins = arrays["x"].shape[1] + self.forward_steps
        self.labels.check(arrays["u"], len(arrays["x"]), bins, f"{name}['u']", known=True)

    def check_has_index(self, x: Any, name: str = "x") -> None:
        """Refuses inputs that do not name the sequences of trials, where the model learns from them."""
        if "index" in self.symbols and not (isinstance(x, Mapping) and "index" in x):
            raise ValueError(
                f"This model learns from the sequence of each trial. Given: {name} without index. Pass a dict "
                f"{{'x': ..., 'index': rows from 0 to {self.n_sequences - 1}}}, or a part of a recording."
            )

    def spread_index(self, index: Any, trials: int) -> np.ndarray:
        """The rows of so many trials' sequences, from one for all of them or one for each.

        Raises:
            ValueError: the model reads none, or they do not fit it or the trials.
        """
        if "index" not in self.symbols:
            raise ValueError(
                "This model knows no sequences. Given: index. Leave it out, or build the model with "
                "f_prior_type='lookup'."
            )
        index = numbers(index, "index")
        if index.shape not in ((), (trials,)):
            raise ValueError(
                f"index must name one sequence, or one for each trial. Given: shape {index.shape} for {trials} trials. "
                f"Pass a row, or an array ({trials},)."
            )
        self._check_index(index, known=True)
        return np.broadcast_to(index, (trials,))

    def blank(self, trials: int, steps: int, given: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs that lend the decoder their shape alone: nothing of them reaches it but external input and session.

        Args:
            trials: number of trials.
            steps: bins of the target.
            given: ``ext_input`` (trials, steps, D), default zeros, and ``session``, one or one a trial.

        Raises:
            ValueError: no session for a model of several.
        """
        x = self.symbols["x"]
        bins = x.shape[1] or max(steps - self.forward_steps, 1)
        inputs = {"x": np.zeros((trials, bins, x.shape[-1]), "float32")}
        if "ext_input" in self.symbols:
            external = given.get("ext_input")
            shape = (trials, steps, self.symbols["ext_input"].shape[-1])
            inputs["ext_input"] = np.zeros(shape, "float32") if external is None else np.asarray(external, "float32")
        if "session" in self.symbols:
            if given.get("session") is None:
                raise ValueError(
                    "This model has a read-out for each session. Given: session=None. Pass the number of one, or an "
                    "array with one for each trial."
                )
            inputs["session"] = np.broadcast_to(given["session"], (trials,))
        if self.labels is not None and self.labels_needed:
            inputs["u"] = np.zeros(self.labels.shape(trials, bins + self.forward_steps))
        return self.checked(inputs, check_bins=False)

    def _check_session(self, session: np.ndarray) -> None:
        n = self.n_sessions
        if session.min() < 0 or session.max() >= n or (session != np.round(session)).any():
            raise ValueError(
                f"A trial belongs to a session that the model does not have. Given: {np.unique(session)[:8].tolist()} "
                f"for {n} sessions. Count them from 0; add_session makes a model of one more."
            )

    def _check_index(self, index: np.ndarray, known: bool = False) -> None:
        n, least = self.n_sequences, 0 if known else -1
        if index.min() < least or index.max() >= n or (index != np.round(index)).any():
            raise ValueError(
                f"A trial belongs to a sequence that the model has no row for. Given: {np.unique(index)[:8].tolist()} "
                f"for {n} rows. Count them from 0; build the model with f_prior_n_seqs of all sequences, new ones too."
            )


def numbers(values: Any, name: str) -> np.ndarray:
    """Values as float32, if they are numbers."""
    array, finding = as_trials(values, name)
    if finding is not None and finding.code == "not-numeric":
        raise ValueError(finding.message)
    return np.asarray(values if array is None else array, "float32")

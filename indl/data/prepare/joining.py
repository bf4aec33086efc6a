"""Several recordings as one, for a model with a read-in and a read-out for each session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import numpy as np

from indl.data.checks.arrays import check_whole
from indl.data.values.recording import Recording, Split

_PER_CHANNEL = ("encod", "recon", "truth")


class Session(NamedTuple):
    """Where a session is in a joined recording.

    Attributes:
        number: value of `session` in its trials.
        channels: position of each of its channels in `recon`, (channels,).
    """

    number: int
    channels: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class JoinedRecording(Recording):
    """Trials of several sessions, each with NaN in the channels that it does not have.

    `encod` has the held-in channels of a session first, then NaN up to the most that any session has; `recon` has
    the same followed by the held-out channels and NaN. `channel_ids` number these positions.

    Args:
        sessions: the sessions by name.
    """

    sessions: dict[str, Session] = field(default_factory=dict)

    def by_session(self, values: Any, part: str = "valid", channels: bool = True) -> dict[str, np.ndarray]:
        """Takes values of all trials of a part apart again: name of the session to the values of its trials.

        Args:
            values: one entry a trial, such as rates (trials, time, channels).
            part: ``"train"`` or ``"valid"``.
            channels: whether the last axis is that of `recon`, of which each session then gets its own channels.

        Returns:
            Trials and channels in the order of the recordings that were joined.
        """
        session, values = getattr(self, part).session, np.asarray(values)
        if len(values) != len(session) or (channels and values.shape[-1] != self.n_channels):
            raise ValueError(
                f"The values are not those of the {part} trials. Given: shape {values.shape} for {len(session)} trials "
                f"of {self.n_channels} channels. Pass channels=False for factors and latents."
            )
        found = {}
        for name, (number, which) in self.sessions.items():
            own = values[session == number]
            found[name] = own[..., which] if channels else own
        return found

    def only(self, name: str) -> JoinedRecording:
        """The trials of one session, padded as they are, for scores and figures of that session."""
        if name not in self.sessions:
            raise ValueError(
                f"There is no such session. Given: {name!r}. Choose one of {', '.join(map(repr, self.sessions))}."
            )

        def part(split: Split) -> Split:
            which = split.session == self.sessions[name].number
            given = {one.name: getattr(split, one.name) for one in fields(split)}
            given = {key: None if value is None else value[which] for key, value in given.items()}
            if split.encod is split.recon:
                given["encod"] = given["recon"]
            return Split(**given)

        return replace(
            self, train=part(self.train), valid=part(self.valid), sessions={name: self.sessions[name]}, source=name
        )

    def _sizes(self, bins: str, channels: str) -> Any:
        n = len(self.sessions)
        return f"{n} session{'s' if n > 1 else ''}", *super()._sizes(bins, channels)


def join_sessions(recordings: Mapping[str, Recording]) -> JoinedRecording:
    """One recording of several sessions, which may have different channels and numbers of trials.

    They are numbered in the order given. Conditions and, where all sessions have it in the same dimensions, behaviour
    are kept; trials of the sessions alternate evenly. All arrays are read into memory. Check recordings before they are
    joined: what a session does not have looks like missing samples.

    Args:
        recordings: recordings by name of the session, with the same bins and bin width.

    Raises:
        ValueError: there is no recording, they have other bins, or only some have external inputs.

    Example:
        >>> import numpy as np
        >>> from indl.data import Trials, join_sessions
        >>> rng = np.random.default_rng(0)
        >>> days = {name: Trials(rng.poisson(1.0, (10, 8, n)), 0.02).split() for name, n in (("a", 3), ("b", 5))}
        >>> joined = join_sessions(days)
        >>> joined.train.session.tolist(), joined.n_channels, int(np.isnan(joined.train.recon[0, 0]).sum())
        ([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], 5, 2)
    """
    if not isinstance(recordings, Mapping) or not recordings:
        raise ValueError(
            f"Sessions are joined by name. Given: {type(recordings).__name__} of {len(recordings)}. Give a dict such "
            "as {'monday': recording, 'tuesday': recording}."
        )
    first = next(iter(recordings.values()))
    for name, recording in recordings.items():
        theirs, ours = _shared(recording), _shared(first)
        if theirs != ours:
            raise ValueError(
                "Sessions must have the same bins. Given: "
                + "; ".join(
                    f"{key} {theirs[key]} in {name!r}, {ours[key]} before" for key in ours if theirs[key] != ours[key]
                )
                + ". Cut or rebin the trials to one length."
            )
    heldin, heldout = (max(getattr(one, key) for one in recordings.values()) for key in ("n_heldin", "n_heldout"))
    padded = [pad_session(one, i, heldin, heldout, name) for i, (name, one) in enumerate(recordings.items())]
    return JoinedRecording(
        *(_joined([getattr(one, part) for one in padded]) for part in ("train", "valid")),
        bin_width_s=first.bin_width_s,
        channel_ids=np.arange(heldin + heldout),
        source=f"join_sessions({', '.join(map(str, recordings))})",
        are_counts=first.are_counts,
        sessions={name: session for one in padded for name, session in one.sessions.items()},
    )


def pad_session(
    recording: Recording, number: int, n_heldin: int, n_heldout: int = 0, name: str = "session"
) -> JoinedRecording:
    """One recording as session `number` of a model, or of a joined recording, of the given sizes.

    Args:
        recording: the recording.
        number: number of the session, counted from 0.
        n_heldin: channels that the encoder sees, with those that this session does not have.
        n_heldout: channels that are only reconstructed, likewise.
        name: name of the session.

    Raises:
        ValueError: the recording has more channels.
    """
    number = check_whole(number, "number")
    if n_heldin < recording.n_heldin or n_heldout < recording.n_heldout:
        raise ValueError(
            f"The session has more channels than there is room for. Given: {recording.n_heldin} held-in and "
            f"{recording.n_heldout} held-out channels for {n_heldin} and {n_heldout}. Raise n_heldin and n_heldout; "
            "add_session widens a model."
        )
    channels = np.concatenate([np.arange(recording.n_heldin), n_heldin + np.arange(recording.n_heldout)])

    def padded(values: Any, width: int) -> np.ndarray | None:
        if values is None or values.shape[2] == width:
            return values
        wide = np.full((*values.shape[:2], width), np.nan, np.float32)
        wide[..., channels[: values.shape[2]]] = values
        return wide

    def part(split: Split) -> Split:
        given = {one.name: getattr(split, one.name) for one in fields(split)}
        recon = padded(split.recon, n_heldin + n_heldout)
        same = split.encod is split.recon and not n_heldout
        given |= {"recon": recon, "encod": recon if same else padded(split.encod, n_heldin)}
        given |= {"truth": padded(split.truth, n_heldin + n_heldout), "session": np.full(len(split), number)}
        return Split(**given)

    return JoinedRecording(
        part(recording.train),
        part(recording.valid),
        recording.bin_width_s,
        np.arange(n_heldin + n_heldout),
        recording.attrs,
        recording.source,
        recording.are_counts,
        sessions={name: Session(number, channels)},
    )


def _shared(recording: Recording) -> dict[str, Any]:
    """What all sessions must have in common."""
    if not isinstance(recording, Recording):
        raise ValueError(
            f"Only recordings can be joined. Given: {type(recording).__name__}. Make one with Trials.split or "
            "load_recording."
        )
    names = ("bin_width_s", "n_times", "forward_steps", "are_counts")
    return {name: getattr(recording, name) for name in names}


def _joined(parts: list[Split]) -> Split:
    """All trials, those of each session spread evenly."""
    place = np.concatenate([(np.arange(len(part)) + 0.5) / len(part) for part in parts])
    order = np.argsort(place, kind="stable")
    found: dict[str, np.ndarray | None] = {}
    for name in (one.name for one in fields(Split)):
        values = [getattr(part, name) for part in parts]
        absent = [value is None for value in values]
        kinds = {(value.shape[1:], value.dtype.kind) for value in values if value is not None}
        if name == "ext_input" and (len(kinds) > 1 or 0 < sum(absent) < len(absent)):
            raise ValueError(
                "Sessions must have the same external inputs, or none. Given: "
                f"{[None if value is None else value.shape for value in values]}. Leave them out, or give all of them."
            )
        alike = not any(absent) and len({shape for shape, _ in kinds}) == 1 and _one_kind({kind for _, kind in kinds})
        found[name] = np.concatenate([np.asarray(value) for value in values])[order] if alike else None
    if all(part.encod is part.recon for part in parts):
        found["encod"] = found["recon"]
    return Split(**found)


def _one_kind(kinds: set[str]) -> bool:
    """Whether values may be joined: numbers with numbers, texts with texts."""
    return len(kinds) == 1 or kinds <= set("buif")

"""What the JSON files of a run's folder hold."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from indl.data.readers.any_file import Reading
from indl.data.simulate.lorenz import LIMITS, MOST_HZ
from indl.files.schema import Count, Finite, Positive, Sha256, rule
from indl.params.schema import Params


def _size(name: str) -> Any:
    return Annotated[int, Field(ge=1, le=LIMITS[name])]


def _of_one_kind(data: dict[str, Any]) -> dict[str, Any]:
    """Data with what their kind needs, and nothing of the other."""
    if data["kind"] == "file":
        fits = "path" in data and data.keys() <= {"kind", "path", "reading"}
    else:
        fits = not data.keys() & {"path", "reading"}
    if not fits:
        raise rule("a file with its path, or lorenz with arguments of indl.data.lorenz")
    return data


# An argument that is not known here would have made other data.
@with_config(ConfigDict(extra="forbid"))
class Data(TypedDict):
    """Where a recording comes from; see :class:`indl.runs.Run`."""

    kind: Literal["file", "lorenz"]
    path: NotRequired[str]
    reading: NotRequired[Annotated[Reading, AfterValidator(Reading.plain)]]
    n_neurons: NotRequired[_size("n_neurons")]  # type: ignore[valid-type]
    n_conditions: NotRequired[_size("n_conditions")]  # type: ignore[valid-type]
    n_trials: NotRequired[_size("n_trials")]  # type: ignore[valid-type]
    n_bins: NotRequired[_size("n_bins")]  # type: ignore[valid-type]
    bin_width_s: NotRequired[Annotated[Finite, Field(gt=0)]]
    base_rate_hz: NotRequired[Annotated[float, Field(gt=0, le=MOST_HZ)]]
    seed: NotRequired[Annotated[int, Field(ge=0)]]
    heldout: NotRequired[Count]


class Settings(TypedDict):
    """The arguments of :class:`indl.runs.Run`."""

    data: Annotated[Data, AfterValidator(_of_one_kind)]
    params: Params
    epochs: Positive
    samples: NotRequired[Annotated[int, Field(ge=0, le=1_000_000)]]
    lag_s: NotRequired[Annotated[Finite, Field(ge=-1000, le=1000)]]
    baselines: NotRequired[bool]
    skip_nonfinite: NotRequired[bool]


#: The hash of a recording, its description, its bins, and the ids of its channels, held-in ones first.
Recorded = TypedDict(
    "Recorded",
    {
        "sha256": Sha256,
        "is": str,
        "bin_width_s": NotRequired[Annotated[Finite, Field(gt=0)]],
        "n_times": NotRequired[Positive],
        "channel_ids": NotRequired[list[str]],
        "n_heldin": NotRequired[Positive],
    },
)


@with_config(ConfigDict(extra="allow"))
class Start(TypedDict):
    """When and on what a run was started."""

    versions: dict[str, str]
    at: NotRequired[str]
    machine: NotRequired[dict[str, Any]]


class Described(TypedDict):
    """All of ``run.json``."""

    run: Settings
    data: Recorded
    monitor: str
    starts: Annotated[list[Start], Field(min_length=1)]


class Metrics(TypedDict):
    """All of ``metrics.json``."""

    model: dict[str, float]
    baseline: NotRequired[dict[str, float]]
    left_out: NotRequired[dict[str, str]]
    epochs: Count
    best_epoch: Count | None
    seconds: float


RUN = TypeAdapter(Described)
PARAMS = TypeAdapter(Params)
HISTORY = TypeAdapter(dict[str, list[float]])
METRICS = TypeAdapter(Metrics)

"""From a raw output of a network to a standard deviation."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from keras import ops

#: What a softplus scale is never below.
SCALE_FLOOR = 1e-5

LINKS = ("softplus", "log_variance", "softplus_variance")


def inverse_softplus(value: float) -> float:
    """x with softplus(x) = value."""
    return value + math.log(-math.expm1(-value))


class ScaleLink(NamedTuple):
    """How a raw output becomes a standard deviation.

    Attributes:
        name: ``"softplus"``: ``softplus(raw) + floor`` (pyro; TFP's examples with a floor of 1e-5);
            ``"log_variance"``: ``exp(raw / 2)`` (LFADS, DVAE, FHVAE); ``"softplus_variance"``: ``sqrt(softplus(raw))``
            (Krishnan et al. 2017).
        floor: added to a softplus scale.
    """

    name: str = "softplus"
    floor: float = SCALE_FLOOR

    def start(self, std: float) -> float:
        """The raw value of the standard deviation `std`."""
        if self.name == "log_variance":
            return 2 * math.log(std)
        if self.name == "softplus_variance":
            return inverse_softplus(std**2)
        return inverse_softplus(max(std - self.floor, SCALE_FLOOR))

    def scale(self, raw: Any) -> Any:
        """The standard deviation, shape of `raw`."""
        if self.name == "log_variance":
            return ops.exp(0.5 * raw)
        if self.name == "softplus_variance":
            return ops.sqrt(ops.softplus(raw))
        return ops.softplus(raw) + self.floor

    def slope(self, scale: Any) -> Any:
        """The derivative of the standard deviation by the raw value, where it is `scale`."""
        if self.name == "log_variance":
            return 0.5 * scale
        # The slope of softplus is 1 - exp(-softplus).
        if self.name == "softplus_variance":
            return -0.5 * ops.expm1(-ops.square(scale)) / scale
        return -ops.expm1(self.floor - scale)


def scale_link(name: str, floor: float = SCALE_FLOOR) -> ScaleLink:
    """The link of a name.

    Raises:
        ValueError: there is none.
    """
    if name not in LINKS:
        raise ValueError(
            f"The link of a scale is not known. Given: scale_link={name!r}. Use one of {', '.join(LINKS)}."
        )
    return ScaleLink(name, floor)

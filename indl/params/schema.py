"""Params within the JSON of a file."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator

from indl.params.families import validate_params


def _complete(params: dict[str, Any]) -> dict[str, Any]:
    return dict(validate_params(params))


#: Params that pass the table of their family, with today's default of every parameter that they do not hold.
Params = Annotated[dict[str, Any], AfterValidator(_complete)]

"""The kind of a recurrent cell and its directions, parsed from the one word that names both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from indl.params.param import as_list

#: The prefixes of a cell that runs in both directions, and of one that runs from the last bin to the first.
BOTH, BACKWARD = "Bidirectional", "Backward"

#: Blocks of a recurrent kernel by the kind of its cell.
_GATES = {"LSTM": 4, "GRU": 3, "GRUClip": 3, "Complex": 3, "SimpleRNN": 1, "ReLURNN": 1, "Dense": 0, "GIN": 0, None: 0}


class CellSpec(NamedTuple):
    """What a value such as ``"BidirectionalGRU"`` says.

    Attributes:
        kind: the cell, ``"GRU"``; or another layer, ``"Dense"``; None: no layer.
        directions: ``"forward"``, ``"backward"`` or ``"both"``, as :class:`~indl.rnn.recurrent.Recurrent` takes them.
    """

    kind: str | None
    directions: str = "forward"

    @classmethod
    def parse(cls, rnn_type: str | None) -> CellSpec:
        """The kind and the directions of a value of f_rnn_type, z1_rnn_type, z2_type or gen_cell_type."""
        for prefix, directions in ((BOTH, "both"), (BACKWARD, "backward")):
            if rnn_type is not None and rnn_type.startswith(prefix):
                return cls(rnn_type.removeprefix(prefix), directions)
        return cls(rnn_type)

    @property
    def both(self) -> bool:
        """Whether it runs in both directions."""
        return self.directions == "both"

    @property
    def blocks(self) -> int:
        """Columns of its kernels for each unit, of both directions; 0 for layers that are not recurrent."""
        return (2 if self.both else 1) * _GATES[self.kind]

    def recurrent_entries(self, units: int | Sequence[int]) -> int:
        """Entries of the recurrent kernels of layers of so many units; 0 for layers that are not recurrent."""
        return self.blocks * sum(n * n for n in as_list(units))

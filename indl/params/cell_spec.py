"""The kind of a recurrent cell and its directions, parsed from the one word that names both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from indl.params.param import as_list

#: The prefix of a cell that runs in both directions.
BOTH = "Bidirectional"


#: Blocks of a recurrent kernel by the kind of its cell.
_GATES = {"LSTM": 4, "GRU": 3, "GRUClip": 3, "Complex": 3, "SimpleRNN": 1, "Dense": 0, "GIN": 0, None: 0}


class CellSpec(NamedTuple):
    """What a value such as ``"BidirectionalGRU"`` says.

    Attributes:
        kind: the cell, ``"GRU"``; or another layer, ``"Dense"``; None: no layer.
        both: whether it runs in both directions.
    """

    kind: str | None
    both: bool

    @classmethod
    def parse(cls, rnn_type: str | None) -> CellSpec:
        """The kind and the directions of a value of f_rnn_type, z1_rnn_type, z2_type or gen_cell_type."""
        if rnn_type is None:
            return cls(None, False)
        return cls(rnn_type.removeprefix(BOTH), rnn_type.startswith(BOTH))

    @property
    def blocks(self) -> int:
        """Columns of its kernels for each unit, of both directions; 0 for layers that are not recurrent."""
        return (2 if self.both else 1) * _GATES[self.kind]

    def recurrent_entries(self, units: int | Sequence[int]) -> int:
        """Entries of the recurrent kernels of layers of so many units; 0 for layers that are not recurrent."""
        return self.blocks * sum(n * n for n in as_list(units))

"""Cells by the one word that names their kind and directions."""

import pytest

from indl.params import RNN_CELLS, RNN_TYPES, CellSpec
from indl.rnn.cells import CELLS


def test_kind_and_directions():
    assert CellSpec.parse("GRU") == ("GRU", "forward")
    assert CellSpec.parse("BidirectionalGRUClip") == ("GRUClip", "both") and CellSpec.parse("BidirectionalLSTM").both
    assert CellSpec.parse("BackwardLSTM") == ("LSTM", "backward") and not CellSpec.parse("BackwardLSTM").both
    assert CellSpec.parse("Dense") == ("Dense", "forward")
    assert CellSpec.parse(None) == (None, "forward")
    assert {CellSpec.parse(name).kind for name in RNN_TYPES} == set(RNN_CELLS)


@pytest.mark.parametrize("kind", RNN_CELLS)
def test_entries_of_recurrent_kernels(kind):
    assert CellSpec.parse(kind).recurrent_entries(5) == CELLS[kind].gates * 25
    assert CellSpec.parse(f"Bidirectional{kind}").recurrent_entries([2, 3]) == 2 * CELLS[kind].gates * (4 + 9)


@pytest.mark.parametrize("kind", ["Dense", "GIN", None])
def test_what_is_not_recurrent_has_none(kind):
    assert CellSpec.parse(kind).recurrent_entries([7, 8]) == 0

"""Recurrent cells and the stacks that encoders and generators are made of."""

from indl.rnn.gru_clip import GRUClip, GRUClipCell

__all__ = ["GRUClip", "GRUClipCell"]

"""The recurrent loop, its cells, and the layers and stacks that encoders and generators are made of."""

from indl.rnn.recurrent import Recurrent

__all__ = ["Recurrent"]

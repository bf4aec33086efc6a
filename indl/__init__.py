"""Sequential variational auto-encoders for neural population recordings, in TensorFlow and Keras 3.

The root imports nothing heavy: import what is needed from its own module, for example
``from indl.model.beta_vae import create_generator`` or ``from indl.params import preset``.
"""

__version__ = "0.1.0"

"""The one decorator under which every saved class of the library is registered (``indl>Name``)."""

import keras

register = keras.saving.register_keras_serializable("indl")

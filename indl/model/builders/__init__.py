"""The builder functions, by what they build; :mod:`indl.model.beta_vae` gives them all."""

"""The builder functions: a params dict and Keras tensors in, Keras tensors out.

They are called in the order of the data flow::

    x - prepare_inputs -+- create_f_encoder - make_f_variational - q_f - sample -+
                        |                                                        +- create_generator - output_dist
                        +- create_z_encoder - make_z_variational - q_z - sample -+

Labels u enter through priors, ``p_u = create_z_prior(params)(u)``, and posteriors; see :func:`label_kl`.

Every function validates the params it is given, so a partial dict is filled up with defaults. A latent
of size 0 has no encoder, posterior or prior: its functions return None, and take None.
"""

from indl.model.builders.encoders import create_f_encoder, create_z_encoder
from indl.model.builders.frames import create_frame_decoder, create_frame_encoder
from indl.model.builders.generators import create_generator, create_generator_complex
from indl.model.builders.inputs import create_index_input, create_label_input, create_time_mask, prepare_inputs
from indl.model.builders.posteriors import (
    encoder_posterior,
    label_product,
    make_f_variational,
    make_z_variational,
    sequential_posterior,
)
from indl.model.builders.priors import create_f_prior, create_z_prior, divergence, label_kl
from indl.model.builders.readouts import output_dist
from indl.params import generate_default_args, generate_default_params

__all__ = [
    "create_f_encoder",
    "create_f_prior",
    "create_frame_decoder",
    "create_frame_encoder",
    "create_generator",
    "create_generator_complex",
    "create_index_input",
    "create_label_input",
    "create_time_mask",
    "create_z_encoder",
    "create_z_prior",
    "divergence",
    "encoder_posterior",
    "generate_default_args",
    "generate_default_params",
    "label_kl",
    "label_product",
    "make_f_variational",
    "make_z_variational",
    "output_dist",
    "prepare_inputs",
    "sequential_posterior",
]

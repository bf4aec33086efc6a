"""Where tests find recordings and the outputs of reference implementations."""

import os
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# A worker takes a file at a time: the longest come first, so that none of them is waited for at the end.
LONGEST = (
    "model/test_sequence_model.py",
    "export/test_saved_model.py",
    "golden/test_golden.py",
    "cli/test_app.py",
    "test_docs.py",
    "model/pi_vae/test_pi_vae.py",
    "model/test_builders.py",
    "model/test_state_space.py",
    "blackbox/test_interface.py",
    "model/test_label_conditioned.py",
    "model/test_lfads_parity.py",
    "plots/test_all_figures.py",
    "runs/test_run.py",
    "rnn/test_complex_cell.py",
    "training/test_checkpoint.py",
    "training/test_train.py",
    "training/test_sessions.py",
    "training/test_guard.py",
    "model/test_lfads_model.py",
    "notebooks/test_builders.py",
    "notebooks/test_lorenz.py",
    "notebooks/test_motor_cortex.py",
    "notebooks/test_pi_vae.py",
)

# What covers more of what others cover, by patterns of ids: `make test-all` runs it.
SLOW = re.compile(
    "|".join(
        (
            r"test_lfads_parity.py::test_values.*\[lfads_(external|forward|control|ic_|no_).*-plain",
            r"test_all_figures.py::test_every_figure_copes\[.*-(long names|nothing but zeros|one of all)",
            r"test_model_forms.py::test_labels_and_objects",
            r"roles/test_sequence.py::test_variances_are_squares",
            r"metrics/test_baselines.py::test_every_part",
            r"test_fuzz.py::test_damaged_recordings\[few-adan",
            r"test_flows.py::test_inverse_of_ten_thousand.*None-100",
            r"test_sessions.py::test_(single_session|frozen_read_ins)",
            r"test_label_latents.py::test_it_copes\[(one row|long names)",
            r"test_silent.py::test_c02_training",
            r"test_observation_models.py::test_known_means_are_learned\[Zero",
            r"test_decoding.py::test_the_lag_is_found.*\[-2",
            r"test_saved_model.py::test_export_is_on_means_without_a_samples_axis\[changes1",
            r"test_posteriors.py::test_the_encoder_and_the_product_each_pay_their_own\[samples",
            r"training/test_checkpoint.py::test_a_finished_run_is_given_more_epochs",
            r"families/test_pi_vae.py::test_the_tuner_varies",
            r"test_label_conditioned.py::.*\[(bins by vector|both latents by class)",
            r"test_missing_data.py::test_padded_trials.*\[(complex|trained initial states|segment)",
            r"test_builders.py::test_every_type_builds.*-(Bidirectional)?(LSTM|GRU|SimpleRNN)\]",
            r"test_builders.py::test_many_samples_equal_runs_one_by_one",
            r"test_complex_cell.py::test_values_and_gradients.*plain loop",
            r"test_complex_cell.py::test_masks_of_dropout.*graph",
            r"test_recurrent.py::test_parity\[.*plain loop",
            r"test_cells.py::test_own_gradient.*trained",
            r"test_cells.py::test_values_equal_those_of_keras\[.*(forward|backward)",
            r"pi_vae/test_parity.py::test_a_saved_model_gives_the_same_outputs\[.*continuous",
            r"test_cell_l2.py::test_the_whole_model\[(all|controller)",
            r"files/test_outputs.py::test_a_file_is_replaced.*(pdf|eps)",
            r"test_partial_observation.py::test_gradient_of_a_whole_stack.*(mean|sum|samples)",
            r"test_outputs.py::test_files_of_a_user_stay\[(params|predict) --json",
            r"test_searches.py::test_b6_files.*oracle",
            r"test_write_points.py::test_a_run_goes_on_after_the_disk_failed\[(raster|metrics|model)",
            r"runs/test_run.py::test_full_disk_is_told",
            r"test_sessions.py::test_wider_session",
            r"metrics/test_baselines.py::test_forward_steps_and_gaps",
            r"test_sequence_model.py::test_(sampled_rates_are_the_average_over_samples\[changes1|any_length_can.*None)",
            r"test_lfads_parity.py::test_values.*\[lfads_(clipped|controller_lag1)",
            r"runs/test_run.py::test_(repetition_gives_every_number_again|signals_finish)",
            r"families/test_pi_vae.py::test_a_run_of_the_command_line",
            r"test_silent.py::test_c(14|20)",
            r"test_sequence_model.py::test_suite\[beta_vae",
            r"test_sessions.py::test_sampling_decoding_and_generating",
            r"test_all_figures.py::test_every_figure_copes\[.*-(many|one trial|with gaps)",
            r"test_label_conditioned.py::test_training_withholds",
            r"test_partial_observation.py::test_nothing_is_hidden_at_inference",
            r"test_dsae_parity.py::.*\[(dkf-embedding|dmm_gated-(forward|bidirectional|mean_field)|.*poisson)",
            r"test_docs.py::test_code_runs\[docs/(fhvae|dsae|beta_vae|deep_markov|objectives|ivae)",
            r"test_sprites.py::test_every_film_shows_its_factors",
            r"test_objectives.py::test_a_compiled_step_is_like_any_other\[.*(dip|factor)",
            r"test_checkpoint.py::test_terms_that_are_not_logged",
            r"test_lfads_model.py::test_(a_model_with_external_input|several_samples_of_f|an_autoencoder_at_inference)",
            r"test_frames.py::test_training_starts_at_the_mean",
            r"families/test_pi_vae.py::test_the_scores_by_hand",
            r"pi_vae/test_pi_vae.py::test_same_seed_same_run",
            r"runs/test_run.py::test_a_finished_run_is_given_more_epochs",
            r"test_outputs.py::test_(files|folders)_of_a_user_stay\[(tune|export|demo|convert|submit)",
            r"test_label_conditioned.py::test_(what_the_encoders_would_pay|a_flow_can_be_undone)",
            r"test_sequence_model.py::test_(given_latents_decode_alike|latents_come_without)",
            r"training/test_train.py::test_arrays_alone_are_enough",
            r"test_docs.py::test_code_runs\[docs/state_space",
            r"test_sprites.py",
            r"test_deep_markov.py::test_(suite\[fdmm|the_listing)",
            r"test_lfads_parity.py::test_values_loss_and_gradients\[lfads_no_controller_external_inputs-compiled-mean",
            r"test_write_points.py::test_a_run_goes_on_after_the_disk_failed",
            r"test_objectives.py::test_a_compiled_step_is_like_any_other",
            r"test_priors.py::test_recurrent_rollout_equals_a_loop_over_the_keras_cell\[GRU",
            r"test_side_by_side.py::test_(compiled_inference_is_that_of_the_graph\[2|a_batch_that_is_not_finite)",
            r"test_guard.py::test_(skipped_steps_change_nothing|the_term_that_broke_is_named\[kl_z)",
            r"test_nap.py::test_pynapples_own_counts",
            r"test_model_forms.py::test_(callbacks_of_keras|a_model_of_ones_own_learns)",
            r"test_silent.py::test_c(06|12|15)",
            r"test_states.py::test_b3",
            r"test_saved_model.py::test_(an_export_is_replaced|saved_model_equals.*dsae_full)",
            r"evaluation/test_scores.py::test_every_score_leaves_missing",
            r"tuning/test_search.py::test_a_folder_belongs",
            r"test_student_t.py::test_the_builder_and_a_model",
            r"test_reading.py::test_every_command_gives_json",
            r"test_outputs.py::test_files_of_a_user_stay\[(check --json|evaluate)",
            r"test_storage.py::test_damage_to_a_written_file_is_found\[recording",
            r"test_fuzz.py::test_damaged_recordings\[few-reach",
            r"test_many_samples.py::test_a_saved_model_has_the_objective\[dreg",
            r"blackbox/test_interface.py::test_parameters_of_discrete_latents_are_recovered\[NVIL",
            r"families/test_pi_vae.py::test_an_interrupted_run",
            r"pi_vae/test_pi_vae.py::test_a_loaded_model_trains_on",
        )
    )
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if SLOW.search(item.nodeid):
            item.add_marker(pytest.mark.slow)
    rank = {REPOSITORY / "tests" / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))


def pytest_addoption(parser):
    parser.addoption(
        "--unoptimized",
        action="store_true",
        help="graphs run as traced, and XLA compiles without optimizing: a third less time; numbers differ by rounding",
    )


def pytest_configure(config):
    if config.getoption("--unoptimized"):
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"


@pytest.fixture(scope="session", autouse=True)
def graphs_as_traced(request):
    """With --unoptimized TensorFlow runs graphs as they are traced; see `graphs_as_elsewhere`."""
    if request.config.getoption("--unoptimized"):
        import tensorflow as tf

        tf.config.optimizer.set_experimental_options({"min_graph_nodes": 1_000_000})


@pytest.fixture(scope="module")
def graphs_as_elsewhere():
    """Graphs are optimized as in any process, for numbers that must equal those of another one to the last bit."""
    import tensorflow as tf

    options = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"min_graph_nodes": 0})
    yield
    tf.config.optimizer.set_experimental_options(options)


@pytest.fixture
def families_as_before():
    """What a test adds to the families of models is taken away behind it."""
    from indl.model.families import FAMILIES
    from indl.params import FAMILIES as TABLES

    before = dict(FAMILIES), dict(TABLES)
    yield
    for registry, kept in zip((FAMILIES, TABLES), before, strict=True):
        registry.clear()
        registry.update(kept)


def parity_files(stem):
    """Every file ``stem*.npz`` in the folders of ``$INDL_FIXTURES``, written as in ``$PATH``, or in tests/fixtures."""
    folders = os.environ.get("INDL_FIXTURES") or str(REPOSITORY / "tests" / "fixtures")
    return sorted(path for folder in folders.split(os.pathsep) for path in Path(folder).glob(f"{stem}*.npz"))


@pytest.fixture
def recordings():
    """The paths of the real recordings by file name, as far as they are there."""
    folders = (REPOSITORY.parent / "shared" / "data", Path(os.environ.get("INDL_DATA") or REPOSITORY / "none"))
    return {path.name: path for folder in folders if folder.is_dir() for path in folder.iterdir()}


@pytest.fixture
def recording_path(recordings):
    """The path of a real recording by file name; skips where the recordings are absent."""

    def find(name):
        if name not in recordings:
            pytest.skip(f"the recording {name} is neither in $INDL_DATA nor in ../shared/data")
        return recordings[name]

    return find

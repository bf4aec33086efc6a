"""The list of faults that users met, line by line, with the tests that hold the right behaviour.

The lines are those of the list (A: files overwritten; B: files from elsewhere; C: wrong numbers and lost results; D:
forms that users try); a test of this file sees that every test named here is there.
"""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FORMS, MODELS, SILENT = "faults/test_forms.py", "faults/test_model_forms.py", "faults/test_silent.py"
OUTPUTS, READING, UNREADABLE = "cli/test_outputs.py", "cli/test_reading.py", "faults/test_unreadable_files.py"

LINES = {
    "A a recording, or any file, in the place of an output": [(OUTPUTS, "test_files_of_a_user_stay")],
    "A a trained model in the place of an output": [(OUTPUTS, "test_files_of_a_user_stay")],
    "A a folder that holds other things": [(OUTPUTS, "test_folders_of_a_user_stay")],
    "A export --overwrite": [
        (OUTPUTS, "test_folders_of_a_user_stay"),
        ("files/test_outputs.py", "test_clearing_takes_what_the_library_wrote_and_nothing_else"),
    ],
    "A an export onto a link": [("files/test_outputs.py", "test_a_link_to_ones_own_file_stays_a_link")],
    "B1 models": [
        ("faults/test_models.py", "test_b1_a_file_makes_nothing_but_models"),
        ("faults/test_models.py", "test_models_in_hdf5_are_refused"),
        ("faults/test_models.py", "test_what_cannot_be_read_is_told_in_words_of_our_own"),
    ],
    "B2 JSON of runs": [
        ("faults/test_runs.py", "test_b2_a_description_of_another_kind_is_told"),
        ("faults/test_runs.py", "test_b2_files_that_are_none_are_told"),
    ],
    "B3 states": [
        ("faults/test_states.py", "test_b3_a_description_of_another_kind_is_told"),
        ("faults/test_states.py", "test_b3_arrays_that_are_not_of_the_run_are_told"),
    ],
    "B4 sparse matrices of MATLAB, odd NWB files": [
        (UNREADABLE, "test_b4_sparse_matrices_are_looked_at_before_they_are_built"),
        (FORMS, "test_b4_odd_nwb_files_are_told_in_words"),
    ],
    "B5 settings without a sane bound": [
        ("params/test_families.py", "test_every_size_has_a_largest_value"),
        ("model/test_memory.py", "test_it_is_told_before_anything_is_built_or_written"),
    ],
    "B6 search folders": [("faults/test_searches.py", "test_b6_files_of_keras_tuner_are_looked_at")],
    "B6 interrupts": [(READING, "test_exit_codes"), (READING, "test_a_process_that_is_interrupted_says_so")],
    "C1": [("tuning/test_search.py", "test_tuners_of_keras_never_go_on_with_other_data")],
    "C2": [(SILENT, "test_c02_signals_of_another_scale_are_questioned_and_mended")],
    "C3": [("runs/test_run.py", "test_signals_finish_with_scores_and_figures")],
    "C4": [("evaluation/test_scores.py", "test_a_score_that_cannot_be_computed_leaves_the_others")],
    "C5": [(SILENT, "test_c05_what_is_masked_is_nan_at_every_border")],
    "C6": [(SILENT, "test_c06_the_selection_has_the_last_word")],
    "C7": [("faults/test_readers.py", "test_c07_invalid_times_were_not_recorded")],
    "C8": [("faults/test_readers.py", "test_c08_marks_stay_with_their_units")],
    "C9": [(SILENT, "test_c09_a_wide_bin_is_questioned")],
    "C10": [("faults/test_readers.py", "test_c10_binned_counts_begin_where_their_bins_do")],
    "C11": [(SILENT, "test_c11_what_is_computed_at_once_follows_the_batch_size")],
    "C12": [(SILENT, "test_c12_nothing_needs_what_windows_lacks")],
    "C13": [("test_root.py", "test_a_new_process_loads_a_model_with_indl_alone")],
    "C14": [(SILENT, "test_c14_an_interrupted_cell_leaves_the_epochs_before")],
    "C15": [
        (SILENT, "test_c15_params_from_before_a_parameter_are_completed"),
        (SILENT, "test_c15_a_model_names_its_version"),
    ],
    "C16": [(SILENT, "test_c16_another_precision_is_one_sentence")],
    "C17": [(SILENT, "test_c17_schedules_run_on_replicas")],
    "C18": [(SILENT, "test_c18_other_formats_are_refused_before_keras_begins")],
    "C19": [
        (SILENT, "test_c19_one_bad_trial_is_left_out_when_asked"),
        (FORMS, "test_a_trial_without_length_in_nwb_is_left_out_when_asked"),
    ],
    "C20": [(SILENT, "test_c20_no_global_generator_is_set"), (SILENT, "test_c20_threads_give_what_runs_in_turn_give")],
    "C21": [(SILENT, "test_c21_counts_beyond_any_are_refused"), (SILENT, "test_c21_rates_beyond_any_are_questioned")],
    "C22": [(SILENT, "test_c22_what_a_model_cannot_take_is_told")],
    "D clone_model": [(MODELS, "test_a_copy_of_a_model")],
    "D model.save('m.h5')": [(SILENT, "test_c18_other_formats_are_refused_before_keras_begins")],
    "D model.rates(recording)": [(MODELS, "test_methods_take_recordings_and_their_parts")],
    "D one trial": [(MODELS, "test_one_trial_says_how_to_add_the_axis")],
    "D behaviour of one dimension": [(FORMS, "test_behaviour_of_one_dimension_may_lack_its_axis")],
    "D labels (trials, 1)": [(FORMS, "test_labels_in_a_column_and_one_hot")],
    "D object arrays": [(FORMS, "test_objects_that_are_numbers_are_numbers")],
    "D an empty last trial": [(FORMS, "test_an_empty_trial_is_left_out_when_asked")],
    "D trials without length in NWB": [(FORMS, "test_a_trial_without_length_in_nwb_is_left_out_when_asked")],
    "D repeated ids of units": [(FORMS, "test_units_that_share_an_id_are_numbered_anew")],
    "D a calcium file without units": [(FORMS, "test_a_calcium_file_says_how_its_series_are_read")],
    "D paths from ~": [
        (FORMS, "test_a_path_may_begin_at_home"),
        (MODELS, "test_folders_are_written_where_a_path_from_home_leads"),
    ],
    "D nlb_tools": [
        ("data/readers/test_any_file.py", "test_files_of_nlb_tools_are_read_by_their_content"),
        ("export/test_nlb_submission.py", "test_the_benchmarks_formulas_give_the_librarys_scores"),
    ],
    "D a locked file": [(UNREADABLE, "test_a_file_that_another_process_has_open_is_told")],
    "D a finished run given more epochs": [("runs/test_run.py", "test_a_finished_run_is_given_more_epochs")],
    "D held-out channels as masks, fractions, negative": [
        (FORMS, "test_held_out_channels_by_mask_and_from_the_end"),
        (FORMS, "test_held_out_channels_as_a_fraction"),
    ],
    "D marks that do not follow": [
        ("faults/test_readers.py", "test_c08_what_speaks_of_channels_or_bins_follows_or_goes")
    ],
    "D labels of pi-VAE": [
        (MODELS, "test_labels_of_every_form_are_classes"),
        (MODELS, "test_names_of_classes_are_kept_with_the_model"),
    ],
    "D Keras's callbacks on val_hidden_nll": [(MODELS, "test_callbacks_of_keras_know_the_direction_of_val_hidden_nll")],
    "D one callback": [(MODELS, "test_one_callback_and_a_list_of_keras")],
    "D trials outside the epochs of pynapple": [(FORMS, "test_trials_outside_the_epochs_are_left_out_when_asked")],
    "D attrs": [(FORMS, "test_attributes_of_every_form_are_stored")],
    "D a run of two trials": [("evaluation/test_scores.py", "test_two_trials_cost_no_score_that_they_allow")],
    "D trial averages R2": [("metrics/test_psth.py", "test_the_ceiling_is_what_true_rates_reach")],
}


@pytest.mark.parametrize("line", LINES)
def test_every_line_has_its_tests(line):
    for file, name in LINES[line]:
        names = {node.name for node in ast.parse((TESTS / file).read_text()).body if isinstance(node, ast.FunctionDef)}
        assert name in names, f"{file} has no {name}"

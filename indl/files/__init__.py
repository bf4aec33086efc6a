"""Files that appear whole or not at all, and never in the place of a user's own."""

from indl.files.lock import exclusive
from indl.files.marks import figure_metadata, marked
from indl.files.outputs import OutputError, check_folder, claim_folder, clear_folder, mark_folder, output_file, written
from indl.files.whole import DISK_FULL, atomic, expanded, save_model, write_json

__all__ = [
    "DISK_FULL",
    "OutputError",
    "atomic",
    "check_folder",
    "claim_folder",
    "clear_folder",
    "exclusive",
    "expanded",
    "figure_metadata",
    "mark_folder",
    "marked",
    "output_file",
    "save_model",
    "write_json",
    "written",
]

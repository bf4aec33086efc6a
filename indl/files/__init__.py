"""Files that appear whole or not at all, and never in the place of a user's own."""

from indl.files.errors import DISK_FULL, OutputError, WriteError, refusal
from indl.files.lock import exclusive
from indl.files.marks import figure_metadata, marked
from indl.files.outputs import check_folder, claim_folder, clear_folder, mark_folder, output_file, written
from indl.files.whole import atomic, expanded, write_json

__all__ = [
    "DISK_FULL",
    "OutputError",
    "WriteError",
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
    "refusal",
    "write_json",
    "written",
]

"""Files that cannot be read: sparse matrices of B4, and files that the system or another process keeps."""

import errno
import os
import subprocess
import sys
import warnings

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from indl.data import RecordingError, Trials, load_recording, read_mat, save_recording
from indl.data.files.storage import unreadable
from tests.messages import faults

COUNTS = np.random.default_rng(0).poisson(1.0, (6, 8, 3)).astype("float32")


def sparse_file(path, n_rows, rows, ends, values):
    """A matrix as MATLAB writes it into files of version 7.3."""
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("m")
        group.attrs["MATLAB_class"] = np.bytes_("double")
        group.attrs["MATLAB_sparse"] = np.uint64(n_rows)
        group["data"], group["ir"], group["jc"] = values, np.asarray(rows, "u8"), np.asarray(ends, "u8")
    return path


SPARSE = {
    "a row outside": (3, [0, 9], [0, 1, 2], [1.0, 2.0]),
    "a row far outside": (3, [0, 2**60], [0, 1, 2], [1.0, 2.0]),
    "ends that fall": (3, [0, 1], [0, 2, 1, 2], [1.0, 2.0]),
    "ends beyond": (3, [0, 1], [0, 1, 900], [1.0, 2.0]),
    "a first end": (3, [0, 1], [1, 1, 2], [1.0, 2.0]),
    "too few values": (3, [0, 1], [0, 1, 2], [1.0]),
    "no ends": (3, [], [], []),
    "too large": (2**50, [0, 1], [0, 1, 2], [1.0, 2.0]),
}


@pytest.mark.parametrize("name", SPARSE)
def test_b4_sparse_matrices_are_looked_at_before_they_are_built(name, tmp_path):
    """faults.md B4: MATLAB v7.3 sparse matrices whose indices lie outside the declared shape crash the process."""
    path = sparse_file(tmp_path / "x.mat", *SPARSE[name])
    with pytest.raises(RecordingError, match="has a sparse matrix that is damaged: /m. Given: .*Save it again") as told:
        read_mat(path, {"counts": "m"}, axes="time,channels", bin_width_s=0.02)
    assert not faults(str(told.value), [path])


def test_b4_sparse_matrices_of_both_versions_hold_their_values(tmp_path):
    dense = np.array([[0, 2, 0, 1], [3, 0, 0, 0], [0, 0, 0, 4.0]])
    columns = scipy.sparse.csc_array(dense)
    scipy.io.savemat(tmp_path / "old.mat", {"m": columns})
    new = sparse_file(tmp_path / "new.mat", 3, columns.indices, columns.indptr, columns.data)
    for path in (tmp_path / "old.mat", new):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trials = read_mat(path, {"counts": "m"}, axes="time,channels", bin_width_s=0.02)
        np.testing.assert_array_equal(trials.counts[0], dense)


def test_b4_sparse_matrices_of_old_files_are_looked_at_too(tmp_path, monkeypatch):
    """faults.md B4, in a file that scipy reads: it makes the matrix without a look at the rows."""
    columns = scipy.sparse.csc_array(np.eye(3))
    columns.indices[1] = 10**8
    monkeypatch.setattr(scipy.io, "loadmat", lambda *args, **kwargs: {"m": columns})
    (tmp_path / "x.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(RecordingError, match="cannot be read as a MATLAB file"):
        read_mat(tmp_path / "x.mat", {"counts": "m"}, axes="time,channels", bin_width_s=0.02)


# --- files that another process, or the system, keeps ----------------------------------------------------------------


def test_a_file_that_another_process_has_open_is_told(tmp_path):
    """faults.md D: an HDF5 file that another process has open."""
    path = tmp_path / "r.h5"
    save_recording(Trials(COUNTS, 0.02).split(), path)
    code = f"import h5py, sys; f = h5py.File({str(path)!r}, 'r+'); print('open', flush=True); sys.stdin.read()"
    environment = {**os.environ, "HDF5_USE_FILE_LOCKING": "TRUE"}
    other = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    try:
        assert other.stdout.readline().strip() == b"open"
        with pytest.raises(RecordingError, match="open in another process.*HDF5_USE_FILE_LOCKING=FALSE") as told:
            load_recording(path)
        assert not faults(str(told.value), [path])
    finally:
        other.communicate()
    assert len(load_recording(path).train) + len(load_recording(path).valid) == 6


def test_causes_that_can_be_told_are_told(tmp_path):
    """faults.md D: no raw exception's words; what is known of the cause is said in ours."""
    path = tmp_path / "x.h5"
    path.write_bytes(b"text")
    for error, form, words in (
        (
            OSError(errno.EACCES, "Unable to open file (errno = 13, error message = 'Permission denied')"),
            "HDF5",
            "user",
        ),
        (PermissionError(errno.EACCES, "Permission denied"), "npz", "may not be read by this user"),
        (OSError("Unable to open file (truncated file: eof = 96)"), "HDF5", "truncated, which an interrupted copy"),
        (OSError("Unable to open file (file signature not found)"), "HDF5", "it is another kind of file. Given: 4"),
        (KeyError("namespaces"), "a MATLAB file", "another kind of file, or damaged. Given: 4 bytes"),
    ):
        told = str(unreadable(path, form, error, "Copy it again"))
        assert words in told and not faults(told, [path]) and "Unable" not in told
    with h5py.File(path, "w"):
        pass
    assert "HDF5: it is damaged" in str(unreadable(path, "HDF5", RuntimeError("bad heap"), "Copy it again"))

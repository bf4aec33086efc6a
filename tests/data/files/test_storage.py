"""HDF5 files that are damaged, hostile or unusual: an error in words, never other numbers, a hang or a crash."""

import warnings

import h5py
import numpy as np
import pytest

from indl.data import RecordingError, Trials, load_recording, load_trials, save_recording, save_trials
from indl.data.files.heaps import broken_heap
from indl.data.files.storage import reading


@pytest.fixture
def path(tmp_path):
    """A small file in the convention; a test puts something wrong into it."""
    data = np.random.default_rng(0).poisson(3.0, (6, 5, 4)).astype("uint8") + 1
    with h5py.File(tmp_path / "r.h5", "w") as file:
        file.attrs.update({"bin_width_s": 0.02, "area": "M1", "names": ["x", "yy"]})
        for part in ("train", "valid"):
            file[f"{part}_recon_data"] = data
            file[f"{part}_encod_data"] = data[:, :, :3]
        file["channel_ids"] = ["a", "b", "c", "dd"]
    return tmp_path / "r.h5"


def put(path, name, value, **storage):
    with h5py.File(path, "a") as file:
        if name in file:
            del file[name]
        if isinstance(value, (h5py.SoftLink, h5py.ExternalLink)):
            file[name] = value
        elif callable(value):
            value(file, name)
        else:
            file.create_dataset(name, data=value, **storage)


def virtual(file, name):
    layout = h5py.VirtualLayout((6, 5, 4), "uint8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (6, 5, 4))
    file.create_virtual_dataset(name, layout)


def external(file, name):
    file.create_dataset(name, (6, 5, 4), "uint8", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


WRONG = {
    "external link": (h5py.ExternalLink("other.h5", "/x"), r"a link \(ExternalLink\) to elsewhere"),
    "dangling link": (h5py.SoftLink("/absent"), "has no values at /absent. Found nothing"),
    "link in a circle": (h5py.SoftLink("/train_recon_data"), r"a link \(SoftLink\) to elsewhere"),
    "virtual": (virtual, "in other files. Found a virtual or external dataset"),
    "external storage": (external, "in other files. Found a virtual or external dataset"),
    "group": (lambda file, name: file.create_group(name), "no dataset 'train_recon_data'. Found a group of that name"),
    "type": (lambda file, name: file.__setitem__(name, np.dtype("f8")), "Found a datatype of that name"),
    "no values": (h5py.Empty("f4"), "must be numeric. Given: dtype float32 without values"),
    "compound": (np.zeros((6, 5, 4), [("a", "f4")]), "must be numeric. Given: dtype"),
    "complex": (np.zeros((6, 5, 4), complex), "must be numeric. Given: dtype complex128"),
    "text": (np.full((6, 5, 4), b"a"), r"must be numeric. Given: dtype \|S1"),
    "never written": (lambda file, name: file.create_dataset(name, (6, 5, 4), "u1"), "Given: 0 of 120 bytes"),
    "half written": (
        lambda file, name: file.create_dataset(name, (6, 5, 4), "u1", chunks=(2, 5, 4)).write_direct(
            np.ones((2, 5, 4), "u1"), dest_sel=np.s_[:2]
        ),
        r"train_recon_data is incomplete. Given: 1 of 3 chunks",
    ),
    "absurd size": (
        lambda file, name: file.create_dataset(name, (2**40, 2**10, 4), "u1", chunks=(2**20, 2**10, 1)),
        r"train_recon_data is incomplete. Given: 4503599627370496 bytes of values in 0 bytes",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_array_in_the_file_is_refused(path, case):
    value, words = WRONG[case]
    put(path, "train_recon_data", value)
    with pytest.raises(RecordingError, match=words) as raised:
        load_recording(path)
    assert str(path) in str(raised.value)


def test_links_within_the_file_are_followed(path):
    with h5py.File(path, "a") as file:
        file["data/all"] = file["train_recon_data"][()]
        file["again"] = h5py.SoftLink("/data/all")
    put(path, "train_recon_data", h5py.SoftLink("/again"))
    assert load_recording(path).train.recon.shape == (6, 5, 4)
    with h5py.File(path, "a") as file:
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/")
    put(path, "train_recon_data", h5py.SoftLink("/elsewhere/x"))
    with pytest.raises(RecordingError, match="a link .* to elsewhere"):
        load_recording(path)


@pytest.mark.parametrize("storage", [{}, {"chunks": (3, 5, 2)}, {"chunks": (4, 2, 3), "compression": "lzf"}])
def test_values_come_as_they_were_stored(path, storage):
    for dtype in ("u1", "i2", ">f8", "f2", "?", ">u4"):
        values = (np.arange(120).reshape(6, 5, 4) // 4 % 2 + (dtype != "?")).astype(dtype)
        put(path, "train_recon_data", values, **storage)
        assert np.array_equal(load_recording(path).train.recon, values.astype(np.float32))


ATTRIBUTES = {
    "compound": (np.zeros((), [("a", "f4")]), "attribute odd that is neither numbers nor text"),
    "empty": (h5py.Empty("f4"), "empty attribute odd"),
    "no UTF-8": (np.bytes_(b"\xff\xfe"), "the attribute odd is no text"),
}


@pytest.mark.parametrize("case", ATTRIBUTES)
def test_attributes_that_cannot_be_kept(path, case):
    value, words = ATTRIBUTES[case]
    with h5py.File(path, "a") as file:
        file.attrs["odd"] = value
    with pytest.raises(RecordingError, match=words):
        load_recording(path)


@pytest.mark.parametrize("name", ["missing", "are_counts"])
def test_flags_are_true_or_false(path, name):
    with h5py.File(path, "a") as file:
        file.attrs[name] = 7
    with pytest.raises(RecordingError, match=f"attribute {name} that is neither true nor false.*Given"):
        load_recording(path)


def test_numbers_of_channels_that_contradict_the_arrays(path):
    with h5py.File(path, "a") as file:
        file.attrs.update({"n_heldin": 3, "n_heldout": 2})
    with pytest.raises(
        RecordingError, match="n_heldout and the channels differ. Given: the attribute 2 for 1 channels"
    ):
        load_recording(path)


def damaged(path, at, value):
    content = bytearray(path.read_bytes())
    content[at] = value
    path.write_bytes(content)


def write_kind(kind, path):
    rng = np.random.default_rng(0)
    counts = rng.poisson(3.0, (6, 5, 4)) + 1
    names = {"channel_ids": ["a", "ä", "c", "d"], "attrs": {"area": "M1", "window_s": [-0.1, 0.2]}}
    arrays = {"label": np.array(list("ababab")), "behavior": rng.normal(size=(6, 5, 2)), "truth": rng.random((6, 5, 4))}
    if kind == "recording":
        save_recording(Trials(counts, 0.02, **names, **arrays).split(heldout=1), path)
        return load_recording
    save_trials(Trials(counts, 0.02, **names, **arrays), path)
    return load_trials


def flat(value):
    """Everything that a recording or trials hold, as bytes."""
    if value is None or isinstance(value, (str, bytes, int, float)):
        return value
    if isinstance(value, dict):
        return {name: flat(item) for name, item in value.items()}
    if hasattr(value, "__dataclass_fields__"):
        return {name: flat(getattr(value, name)) for name in value.__dataclass_fields__ if name != "source"}
    array = np.asarray(value)
    return array.dtype.str, array.shape, array.tobytes()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["recording", pytest.param("trials", marks=pytest.mark.slow)])
def test_damage_to_a_written_file_is_found(tmp_path, kind):
    """Checksums: a changed byte is an error, or it held nothing."""
    path, copy = tmp_path / "a.h5", tmp_path / "b.h5"
    load = write_kind(kind, path)
    content, whole = path.read_bytes(), flat(load(path))
    rng = np.random.default_rng(1)
    found = 0
    for at in rng.choice(len(content), 150, replace=False):
        changed = bytearray(content)
        changed[at] ^= 1 << rng.integers(8)
        copy.write_bytes(changed)
        try:
            assert flat(load(copy)) == whole, f"byte {at}"
        except RecordingError as error:
            assert str(copy) in str(error)
            found += 1
    # Large parts of a small file hold nothing.
    assert found > 15


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["reach_day31.h5", "mc_maze_small_5ms.h5"])
def test_damage_to_a_real_file_neither_hangs_nor_crashes(recording_path, tmp_path, name):
    content = recording_path(name).read_bytes()
    copy = tmp_path / "b.h5"
    rng = np.random.default_rng(2)
    for number in range(60):
        changed = bytearray(content)
        at = int(rng.integers(len(content)))
        if number % 3 == 0:
            # Where the structure of the file is.
            for place in rng.integers(8000, size=3):
                changed[place] = rng.integers(256)
        elif number % 3 == 1:
            changed[at : at + 2000] = bytes(len(changed[at : at + 2000]))
        else:
            changed = changed[:at]
        copy.write_bytes(changed)
        try:
            load_recording(copy)
        except RecordingError as error:
            assert str(copy) in str(error)


def chunked(path):
    """A file with one chunked dataset, and where its index of chunks lies."""
    values = np.random.default_rng(0).integers(1, 200, (8, 6, 4)).astype("u1")
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=values, chunks=(4, 3, 4), compression="gzip")
    content = path.read_bytes()
    return values, next(at for at in range(len(content)) if content[at : at + 5] == b"TREE\1")


def test_chunks_that_the_index_loses_are_missed(tmp_path):
    """HDF5 itself fills in zeros for a chunk that it does not find."""
    path = tmp_path / "x.h5"
    values, index = chunked(path)
    # An entry: size of the chunk and its mask of filters, 4 bytes each; its place in the array, 8 bytes an axis and 8
    # more; its address.
    first = index + 24
    for at in (first + 4, first + 8, first + 16, first + 24, first + 32):
        chunked(path)
        damaged(path, at, 2)
        with pytest.raises(RecordingError, match="Given: [0-3] of 4 chunks|it is damaged"), reading(path) as source:
            source.array("x")
    chunked(path)
    with reading(path) as source:
        assert np.array_equal(source.array("x"), values)


def test_two_arrays_cannot_share_a_place(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        for i, name in enumerate("ab"):
            file.create_dataset(name, data=np.full(32, i, "u1"))
        places = [file[name].id.get_offset() for name in "ab"]
        file["again"] = file["a"]
    content = path.read_bytes()
    at = content.find(places[1].to_bytes(8, "little"))
    damaged(path, at, places[0] & 255)
    damaged(path, at + 1, places[0] >> 8)
    with reading(path) as source:
        assert source.array("a").sum() == 0 and source.array("again").sum() == 0
        with pytest.raises(RecordingError, match="b shares its place in the file with another array"):
            source.array("b")


def heap(path):
    content = path.read_bytes()
    return content, content.find(b"GCOL")


def test_texts_that_hdf5_would_hang_on_are_refused(path):
    assert broken_heap(path) is None
    content, at = heap(path)
    # The free space at the end of a heap, with no size.
    path.write_bytes(content[: at + 16] + bytes(200) + content[at + 216 :])
    assert broken_heap(path) == at
    with pytest.raises(RecordingError, match=f"texts cannot be read. Given: a heap of texts at byte {at} that"):
        load_recording(path)


@pytest.mark.parametrize("what", ["length", "address", "index"])
@pytest.mark.parametrize("text", [b"area", b"channel_ids"])
def test_texts_that_lead_nowhere_are_refused(path, what, text):
    content, at = heap(path)
    # References: length, address of the heap, index in it.
    address = at.to_bytes(8, "little")
    places = [i - 4 for i in range(len(content)) if content[i : i + 8] == address]
    with h5py.File(path) as file:
        first = file["channel_ids"].id.get_offset()
    chosen = first if text == b"channel_ids" else next(place for place in places if place < first)
    assert chosen in places
    damaged(path, chosen + {"length": 2, "address": 6, "index": 12}[what], 211)
    with pytest.raises(
        RecordingError, match="texts cannot be read. Given: a text of .* bytes at .*, where there is none"
    ):
        load_recording(path)


def test_four_letters_are_no_heap(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"GCOL" * 50)
    assert broken_heap(path) is None


def test_texts_in_all_their_forms(path):
    texts = ["a", "", "ä" * 300, "d"]
    for values in (
        np.array(texts, object),
        np.array([text.encode() for text in texts]),
        np.array(texts, h5py.string_dtype("utf-8")),
    ):
        for storage in ({}, {"chunks": (3,), "compression": "gzip"}, {"maxshape": (None,)}):
            put(path, "channel_ids", values, **storage)
            assert load_recording(path).channel_ids.tolist() == texts


def test_arrays_too_large_for_the_memory_name_the_way_out(path, monkeypatch):
    monkeypatch.setattr("indl.data.files.storage.memory", lambda: 100.0)
    with pytest.raises(RecordingError, match="too large for the memory: train_encod_data.*Use open_recording"):
        load_recording(path)


def test_a_filter_that_is_not_there_is_named(path, monkeypatch):
    put(path, "train_recon_data", np.ones((6, 5, 4), "u1"), compression="gzip")
    monkeypatch.setattr("h5py.h5z.filter_avail", lambda code: False)
    with pytest.raises(RecordingError, match="filter that is not installed. Given: HDF5 filter 1. Install"):
        load_recording(path)


@pytest.mark.parametrize("n_trials, n_times", [(3, 4), (900, 50), (1, 70_000)])
def test_chunks_hold_whole_trials_of_about_a_mebibyte(tmp_path, n_trials, n_times):
    counts = np.random.default_rng(0).poisson(1.0, (n_trials, n_times, 20)) + 1
    save_trials(Trials(counts, 0.01), tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5") as file:
        stored = file["trials_data"]
        assert stored.fletcher32 and stored.compression == "gzip"
        assert stored.chunks[2] == 20 and (stored.chunks[1] == n_times or n_trials == 1)
        assert np.prod(stored.chunks) * 4 <= 2**20 + 4 * 20
    assert np.array_equal(load_trials(tmp_path / "t.h5").counts, counts)


def test_large_and_many_attributes_are_kept(tmp_path):
    attrs = {f"a{i}": np.arange(i) for i in range(1, 60)} | {"large": np.arange(50_000.0), "texts": ["x" * 999] * 99}
    save_trials(Trials(np.ones((3, 4, 2)), 0.01, attrs=attrs), tmp_path / "t.h5")
    found = load_trials(tmp_path / "t.h5").attrs
    assert all(np.array_equal(found[name], value) for name, value in attrs.items())


def test_texts_with_nul_are_refused(tmp_path):
    with pytest.raises(RecordingError, match="'odd' of attrs cannot be stored.*NUL"):
        save_trials(Trials(np.ones((3, 4, 2)), 0.01, attrs={"odd": "a\0b"}), tmp_path / "t.h5")


def test_reading_warns_of_nothing_else(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_recording(path)

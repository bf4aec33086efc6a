"""Films cut from sheets that hold, in every place, what tells the place."""

import numpy as np
import pytest
from PIL import Image

from indl.data import RecordingError, load_recording, read_sprites, save_recording, sprite_factors
from tests.messages import faults

LAYERS = ("body", "bottomwear", "topwear", "hair")


def write_sheet(path, colour_of, box):
    """A sheet of 13 x 21 places of 64 pixels, transparent but for a box of each place."""
    sheet = np.zeros((21, 64, 13, 64, 4), np.uint8)
    for row in range(21):
        for column in range(13):
            sheet[row, box[0], column, box[1]] = (*colour_of(row, column), 255)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(sheet.reshape(21 * 64, 13 * 64, 4)).save(path)


@pytest.fixture(scope="module")
def sheets(tmp_path_factory):
    """Body: row and column of the place everywhere. The others: a quarter each, of their number, above the body."""
    folder = tmp_path_factory.mktemp("sprites")
    upper, lower = slice(0, 32), slice(32, 64)
    for i in range(6):
        everywhere = (slice(0, 64), slice(0, 64))
        write_sheet(folder / "body" / f"{i}.png", lambda row, column, i=i: (10 * row, 10 * column, 40 * i), everywhere)
        for layer, box in zip(LAYERS[1:], ((upper, upper), (upper, lower), (lower, upper)), strict=True):
            write_sheet(folder / layer / f"{i}.png", lambda row, column, i=i: (200, 0, 40 * i), box)
    # Shoes lie above all, in the upper half of a square that is averaged.
    write_sheet(folder / "shoes" / "1.png", lambda row, column: (0, 250, 0), (slice(32, 40), slice(0, 16)))
    return folder


@pytest.fixture(scope="module")
def recording(sheets):
    return read_sprites(sheets, size=4)


def test_every_film_shows_its_factors(recording):
    """The published rows and columns: walk 9 to 11, spell card 1 to 3, slash 13 to 15, for left, front and right."""
    columns = [[8, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 4, 6], [0, 1, 2, 3, 4, 5, 4, 0]]
    rows = [[10, 9, 11], [2, 1, 3], [14, 13, 15]]
    for part in (recording.train, recording.valid):
        attributes, action, direction = sprite_factors(part.inds)
        films = np.rint(255 * part.encod.reshape(-1, 8, 4, 4, 3)).astype(int)
        place = films[:, :, 3, 3]
        assert np.array_equal(place[..., 0], 10 * np.array(rows)[action, direction][:, None] * np.ones((1, 8), int))
        assert np.array_equal(place[..., 1], 10 * np.array(columns)[action])
        for k, (row, column) in enumerate(((3, 3), (0, 0), (0, 3), (3, 0))):
            assert np.array_equal(films[:, :, row, column, 2], 40 * attributes[:, k, None] * np.ones((1, 8), int))
        averages = (np.array([0, 250, 0]) + films[:, :, 3, 0]) / 2
        assert np.abs(films[:, :, 2, 0] - averages).max() <= 0.5
        assert np.array_equal(part.label, 3 * action + direction)


def test_the_split_is_the_published_one(recording):
    assert (len(recording.train), len(recording.valid)) == (9000, 2664)
    characters = [np.unique(part.inds // 9) for part in (recording.train, recording.valid)]
    assert [len(found) for found in characters] == [1000, 296] and not np.intersect1d(*characters).size
    order = np.random.RandomState(423).permutation(1296)
    assert np.array_equal(recording.valid.inds[::9] // 9, order[1000:])
    assert not recording.are_counts and recording.bin_width_s == 0.1


@pytest.mark.filterwarnings("ignore:.*zero everywhere")
def test_the_file_is_read_back(recording, tmp_path):
    save_recording(recording, tmp_path / "sprites.h5")
    again = load_recording(tmp_path / "sprites.h5")
    assert np.array_equal(again.valid.encod, recording.valid.encod) and not again.are_counts
    assert np.array_equal(again.valid.inds, recording.valid.inds) and list(again.attrs["frame_shape"]) == [4, 4, 3]


def test_what_is_no_copy_of_the_sheets_is_told(sheets, tmp_path):
    def message(error, call):
        with pytest.raises(error) as caught:
            call()
        found = faults(str(caught.value), (tmp_path, sheets))
        assert not found, (str(caught.value), found)
        return str(caught.value)

    assert "body/0.png" in message(FileNotFoundError, lambda: read_sprites(tmp_path)).replace("\\", "/")
    (tmp_path / "body").mkdir()
    sheet = tmp_path / "body" / "0.png"
    sheet.write_bytes(b"no image")
    assert "cannot be read as an image" in message(RecordingError, lambda: read_sprites(tmp_path))
    Image.new("RGBA", (64, 64)).save(sheet)
    assert "64 x 64" in message(RecordingError, lambda: read_sprites(tmp_path))
    for size in (5, 128, "16"):
        assert "size" in message(ValueError, lambda size=size: read_sprites(sheets, size))

"""The Sprites films of Li & Mandt 2018, built from a copy of their sheets: what a film shows, and how it moves."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from indl.data.checks.arrays import check_whole
from indl.data.files.storage import RecordingError, unreadable
from indl.data.values.recording import Recording, Split
from indl.files import expanded

#: Layers of a character that vary, from the lowest up, and how many of each are used.
LAYERS, N_OF_EACH = ("body", "bottomwear", "topwear", "hair"), 6
ACTIONS, DIRECTIONS = ("walk", "spellcard", "slash"), ("front", "left", "right")
N_FRAMES, FRAME_S = 8, 0.1
_N_CHARACTERS, _N_MOTIONS = N_OF_EACH ** len(LAYERS), len(ACTIONS) * len(DIRECTIONS)
_SHOES = "shoes/1.png"
_PIXELS = 64
#: Row of the sheets for each direction, and column for each frame.
_ROWS = {"walk": (10, 9, 11), "spellcard": (2, 1, 3), "slash": (14, 13, 15)}
_COLUMNS = {"walk": (8, 1, 2, 3, 4, 5, 6, 7), "spellcard": (0, 1, 2, 3, 4, 5, 4, 6), "slash": (0, 1, 2, 3, 4, 5, 4, 0)}
_SHEET = ((max(map(max, _COLUMNS.values())) + 1) * _PIXELS, (max(map(max, _ROWS.values())) + 1) * _PIXELS)
_SPLIT_SEED, _N_TRAIN = 423, 1000


class SpriteFactors(NamedTuple):
    """What each film shows, one entry a trial.

    Attributes:
        attributes: Body, bottom wear, top wear and hair, (trials, 4) integers 0 to 5: the static factors.
        action: Place in `ACTIONS`, (trials,).
        direction: Place in `DIRECTIONS`, (trials,).
    """

    attributes: np.ndarray
    action: np.ndarray
    direction: np.ndarray


def read_sprites(folder: Path | str, size: int = 16) -> Recording:
    """The films of 1296 characters in three actions and three directions, from the sheets that they are cut out of.

    The sheets are those of https://github.com/YingzhenLi/Sprites (GPL 3 and CC-BY-SA 3.0; half a megabyte), which are
    no part of this library: clone or download that repository first. Frames of 64 pixels are averaged over squares to
    `size`; 16 takes some ten seconds, and a gigabyte of memory. Once built, the recording is best kept as a file::

        save_recording(read_sprites("Sprites"), "sprites.h5")

    A character is a body, a bottom wear, a top wear and a hair, six of each, in one pair of shoes. The published split
    takes 1000 characters to train on, whose every film is in the training part, and 296 for validation.

    Args:
        folder: The repository, with the folders `body`, `bottomwear`, `topwear`, `hair` and `shoes`.
        size: Height and width of a frame: 4, 8, 16, 32 or 64.

    Returns:
        A `Recording` of signals in [0, 1] with 9000 and 2664 trials of 8 bins of 0.1 s and size * size * 3 channels,
        the axes of a frame (height, width, colour) in this order: a model takes ``frame_shape=[size, size, 3]``.
        `label` is the motion, 3 times the action plus the direction, and `inds` 9 times the character plus the motion:
        :func:`sprite_factors` takes it apart.

    Raises:
        ValueError: If `size` is another one.
        FileNotFoundError: If a sheet is missing.
        RecordingError: If a sheet is no image, or too small.
    """
    size = check_whole(size, "size", 4, _PIXELS)
    if _PIXELS % size:
        raise ValueError(
            f"Frames of {_PIXELS} pixels are averaged over squares. Given: size={size}. Choose one of 4, 8, 16, 32, 64."
        )
    folder = expanded(folder)
    strips = {layer: [_strip(folder / layer / f"{i}.png") for i in range(N_OF_EACH)] for layer in LAYERS}
    films = _films(strips, _strip(folder / _SHOES), size)
    order = np.random.RandomState(_SPLIT_SEED).permutation(_N_CHARACTERS)
    return Recording(
        _split(films, order[:_N_TRAIN]),
        _split(films, order[_N_TRAIN:]),
        FRAME_S,
        np.arange(size * size * 3),
        {"frame_shape": [size, size, 3], "actions": list(ACTIONS), "directions": list(DIRECTIONS)},
        "Sprites",
        are_counts=False,
    )


def sprite_factors(inds: np.ndarray) -> SpriteFactors:
    """What the trials of :func:`read_sprites` show.

    Args:
        inds: `inds` of a part of the recording, (trials,).

    Example:
        >>> import numpy as np
        >>> from indl.data import sprite_factors
        >>> attributes, action, direction = sprite_factors(np.array([9 * (6**3 + 5) + 7]))
        >>> attributes.tolist(), action.tolist(), direction.tolist()
        ([[1, 0, 0, 5]], [2], [1])
    """
    character, motion = np.divmod(np.asarray(inds), _N_MOTIONS)
    attributes = np.stack(np.unravel_index(character, (N_OF_EACH,) * len(LAYERS)), axis=-1)
    action, direction = np.divmod(motion, len(DIRECTIONS))
    return SpriteFactors(attributes, action, direction)


def _strip(path: Path) -> Any:
    """The frames of all motions on one sheet, as an image of one row a motion."""
    from PIL import Image

    if not path.is_file():
        raise FileNotFoundError(
            f"There is no such sheet. Given: {path}. Name the folder of a copy of "
            "https://github.com/YingzhenLi/Sprites."
        )
    advice = "Copy it again from https://github.com/YingzhenLi/Sprites"
    try:
        with Image.open(path) as file:
            sheet = file.convert("RGBA")
    except Exception as error:  # Pillow raises of many kinds on a broken file
        raise unreadable(path, "an image", error, advice) from error
    if sheet.width < _SHEET[0] or sheet.height < _SHEET[1]:
        raise RecordingError(
            f"A sheet of sprites has at least {_SHEET[0]} x {_SHEET[1]} pixels. Given: {sheet.width} x {sheet.height} "
            f"in {path}. {advice}."
        )
    strip = Image.new("RGBA", (N_FRAMES * _PIXELS, _N_MOTIONS * _PIXELS))
    for motion, (action, direction) in enumerate(itertools.product(ACTIONS, range(len(DIRECTIONS)))):
        top = _ROWS[action][direction] * _PIXELS
        for frame, column in enumerate(_COLUMNS[action]):
            box = (column * _PIXELS, top, (column + 1) * _PIXELS, top + _PIXELS)
            strip.paste(sheet.crop(box), (frame * _PIXELS, motion * _PIXELS))
    return strip


def _films(strips: dict[str, list[Any]], shoes: Any, size: int) -> np.ndarray:
    """All films, (characters, motions, frames, size * size * 3), the last layer of a character changing fastest."""
    from PIL import Image

    films = np.empty((_N_CHARACTERS, _N_MOTIONS, N_FRAMES, size * size * 3), np.float32)
    canvas = Image.new("RGBA", shoes.size, "black")
    for i, image in enumerate(_dressed(canvas, [*strips.values(), [shoes]])):
        pixels = np.asarray(image.convert("RGB").reduce(_PIXELS // size), np.float32) / 255.0
        cut = pixels.reshape(_N_MOTIONS, size, N_FRAMES, size, 3)
        films[i] = cut.transpose(0, 2, 1, 3, 4).reshape(films[i].shape)
    return films


def _dressed(below: Any, layers: Sequence[Sequence[Any]]) -> Iterator[Any]:
    """The image under every combination of the layers, one at a time: all at once would not be small."""
    from PIL import Image

    if not layers:
        yield below
        return
    for above in layers[0]:
        yield from _dressed(Image.alpha_composite(below, above), layers[1:])


def _split(films: np.ndarray, characters: np.ndarray) -> Split:
    """Every film of some characters."""
    chosen = films[characters].reshape(-1, *films.shape[2:])
    motion = np.tile(np.arange(_N_MOTIONS), len(characters))
    return Split(chosen, chosen, inds=np.repeat(_N_MOTIONS * characters, _N_MOTIONS) + motion, label=motion)

"""Pictures in few colours: grounds and legends stay as they are, and a rare vivid colour keeps its hue."""

from __future__ import annotations

import numpy as np

from docs.make_pictures import most_frequent, painted, palette_of

WHITE, YELLOW, BLUE = (255, 255, 255), (255, 216, 77), (74, 127, 217)


def page() -> np.ndarray:
    """White, a slice of all greys, a large blue flag with 40 shades of edge, and 9 yellow pixels."""
    pixels = np.full((120, 300, 3), WHITE, np.uint8)
    pixels[20:100, :256] = np.arange(256, dtype=np.uint8)[None, :, None]
    pixels[30:60, 10:200] = BLUE
    for shade in range(40):
        pixels[60 + shade // 4, 10:200] = np.array(BLUE) - [shade, 2 * shade, shade]
    pixels[80:83, 50:53] = YELLOW
    return pixels


def test_a_rare_yellow_stays_yellow_and_the_grounds_stay_exact() -> None:
    pixels = page()
    palette = palette_of(pixels.reshape(-1, 3), 64)
    assert palette.shape == (64, 3)
    few = np.asarray(painted(pixels, palette).convert("RGB")).astype(int)
    assert few.shape == pixels.shape
    assert (few[0, 0] == WHITE).all()
    assert (few[40, 100] == BLUE).all()
    assert np.abs(few[81, 51] - YELLOW).max() <= 16
    # 64 colours over 256 greys and a few shades: no grey is off by more than some steps.
    assert np.abs(few[110:, :] - 255).max() == 0
    assert np.abs(few[22, :256] - pixels[22, :256].astype(int)).max() <= 8


def test_each_pixel_gets_the_nearest_colour() -> None:
    palette = np.array([(0, 0, 0), (100, 0, 0), (255, 255, 255)], np.uint8)
    pixels = np.array([[(49, 0, 0), (51, 0, 0), (250, 240, 230)]], np.uint8)
    assert np.asarray(painted(pixels, palette)).tolist() == [[0, 1, 2]]


def test_most_frequent_come_first() -> None:
    pixels = np.array([WHITE] * 3 + [BLUE] * 5 + [YELLOW], np.uint8)
    assert most_frequent(pixels, 2).tolist() == [list(BLUE), list(WHITE)]

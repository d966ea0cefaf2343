"""BMP, WebP, JPEG 2000, PNG with alpha or 16 bits, against other decoders."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from napari_sam2.errors import ImageFileError
from napari_sam2.io.picture import is_picture, read_picture
from napari_sam2.io.read import read_volume
from napari_sam2.slides.reader import open_slide

RNG = np.random.default_rng(1)
COLOURS = RNG.integers(0, 255, (40, 50, 3), dtype=np.uint8)
GREY = COLOURS[..., 0]


def _voxels(path):
    volume = read_volume(path)
    with open_slide(path) as slide:
        assert slide.shape == volume.shape[:2]
    return volume.voxels[:, :, 0], volume.source.notes


@pytest.mark.parametrize("ending", [".bmp", ".webp", ".jp2", ".j2k", ".png"])
@pytest.mark.parametrize("content", ["colours", "grey"])
def test_pictures_without_loss_are_read_to_the_pixel(tmp_path, ending, content):
    pixels = COLOURS if content == "colours" else GREY
    options = {".webp": {"lossless": True}}.get(ending, {})
    if ending in (".jp2", ".j2k"):
        options = {"irreversible": False, "codec": ending[1:]} if ending == ".j2k" else {"irreversible": False}
        options.pop("codec", None)
    path = tmp_path / f"a{ending}"
    Image.fromarray(pixels).save(path, **options)
    found, notes = _voxels(path)
    assert notes == ()
    expected = np.repeat(GREY[..., None], 3, 2) if (ending, content) == (".webp", "grey") else pixels
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_grey_jpeg_2000_keeps_its_values(tmp_path, bits):
    pixels = RNG.integers(0, 2**bits, (30, 20)).astype(np.uint16 if bits > 8 else np.uint8)
    packed = imagecodecs.jpeg2k_encode(pixels, level=0, codecformat="jp2", bitspersample=bits, reversible=True)
    (tmp_path / "g.jp2").write_bytes(packed)
    found, _ = _voxels(tmp_path / "g.jp2")
    np.testing.assert_array_equal(imagecodecs.jpeg2k_decode(packed), pixels)
    np.testing.assert_array_equal(found, pixels)


def test_colours_of_16_bits_lose_8_and_say_so(tmp_path):
    pixels = RNG.integers(0, 2**16, (30, 20, 3)).astype(np.uint16)
    pixels[0, 0] = 65535  # which Pillow would turn into 0 in JPEG 2000
    (tmp_path / "c.png").write_bytes(imagecodecs.png_encode(pixels))
    (tmp_path / "c.jp2").write_bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="jp2"))
    said = ("c.png holds colours of 16 bits; 8 bits are kept.", "The colours are of type uint16; 65535 is taken as")
    for name, note in zip(("c.png", "c.jp2"), said, strict=True):
        found, notes = _voxels(tmp_path / name)
        assert notes[0].startswith(note)
        assert np.abs(found.astype(int) - pixels / 257).max() <= 1


def test_grey_png_of_16_bits_keeps_them(tmp_path):
    pixels = RNG.integers(0, 2**16, (30, 20)).astype(np.uint16)
    (tmp_path / "g.png").write_bytes(imagecodecs.png_encode(pixels))
    np.testing.assert_array_equal(_voxels(tmp_path / "g.png")[0], pixels)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("ending", [".png", ".webp"])
def test_transparent_places_become_white(tmp_path, mode, ending):
    alpha = np.zeros((40, 50, 1), np.uint8)
    alpha[:20] = 255
    pixels = np.concatenate([COLOURS if mode == "RGBA" else GREY[..., None], alpha], axis=2)
    options = {"lossless": True, "exact": True} if ending == ".webp" else {}
    Image.fromarray(pixels, mode).save(tmp_path / f"t{ending}", **options)
    found, notes = _voxels(tmp_path / f"t{ending}")
    assert notes == ("The picture is partly transparent; these places are shown white.",)
    assert (found[20:] == 255).all()
    expected = COLOURS[:20] if mode == "RGBA" else np.repeat(GREY[:20, :, None], 3, 2)
    np.testing.assert_array_equal(found[:20], expected)


def test_a_colour_that_png_declares_transparent_becomes_white(tmp_path):
    pixels = np.where(GREY > 100, 7, GREY % 5).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "k.png", transparency=7)
    found, _ = _voxels(tmp_path / "k.png")
    assert (found[pixels == 7] == 255).all()
    np.testing.assert_array_equal(found[pixels != 7][:, 0], pixels[pixels != 7])


def test_of_an_animation_the_first_frame_is_read_and_told(tmp_path):
    frames = [Image.fromarray(COLOURS), Image.fromarray(255 - COLOURS)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True)
    found, notes = _voxels(tmp_path / "a.webp")
    np.testing.assert_array_equal(found, COLOURS)
    assert notes == ("a.webp holds 2 frames; the first one is read.",)


def test_signed_samples_are_refused(tmp_path):
    packed = bytearray(imagecodecs.jpeg2k_encode(GREY, level=0, codecformat="j2k", reversible=True))
    packed[packed.find(b"\xff\x4f\xff\x51") + 42] |= 0x80
    (tmp_path / "s.j2k").write_bytes(packed)
    with pytest.raises(ImageFileError, match="stores signed samples"):
        read_picture(tmp_path / "s.j2k")


@pytest.mark.parametrize("ending", [".bmp", ".webp", ".jp2", ".png"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_picture_is_refused(tmp_path, ending, share):
    path = tmp_path / f"t{ending}"
    Image.fromarray(COLOURS).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ImageFileError, match=r"damaged or truncated"):
        read_picture(path)


def test_text_that_begins_with_bm_is_no_picture():
    assert not is_picture(b"BMI,weight\n21,70\n22,80\n23,90\n24")


@pytest.mark.parametrize("bits", [1, 4])
def test_a_bmp_whose_pixels_cannot_use_its_palette_is_refused(tmp_path, bits):
    """Pillow read the pixels of a grey palette of 256 as 8 bits each, whatever the header said."""
    path = tmp_path / "b.bmp"
    Image.fromarray(GREY.astype(np.uint8)).save(path)
    content = bytearray(path.read_bytes())
    assert content[28] == 8
    content[28] = bits
    path.write_bytes(content)
    with pytest.raises(ImageFileError, match=f"pixels of {bits} bits cannot use its palette"):
        read_picture(path)

"""Pictures made pixel by pixel, and what must come out of each."""

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from pellucid.data import pictures, read_image, to_image
from pellucid.data.pictures import decode
from pellucid.geometry import Geometry

Bytes = npt.NDArray[np.uint8]

NOISE: Bytes = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)  # (H, W, 3)


def read(path: Path, geometry: Geometry | None = None) -> Bytes:
    """(H, W, C), uint8, of a file as read_image sees it."""
    image = read_image(path, geometry)
    assert image.dtype == torch.float32
    assert image.shape[0] == 1
    return np.asarray((image[0] * 255).round().to(torch.uint8).permute(1, 2, 0))


def smooth(height: int, width: int) -> Bytes:
    """A picture without hard edges: what JPEG keeps well."""
    y, x = np.mgrid[0:height, 0:width]
    red, green, blue = 255 * y / height, 255 * x / width, 127 + 100 * np.sin(6 * x / width) * np.cos(6 * y / height)
    return np.stack([red, green, blue], axis=2).round().astype(np.uint8)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm"])
def test_lossless_rgb_comes_out_as_it_went_in(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"a.{suffix}"
    Image.fromarray(NOISE).save(file)
    np.testing.assert_array_equal(read(file), NOISE)


def test_values_are_in_zero_one(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 51, 255]], dtype=np.uint8)).save(tmp_path / "a.png")
    torch.testing.assert_close(read_image(tmp_path / "a.png")[0, 0, 0], torch.tensor([0.0, 0.2, 1.0]))


# What a reader must do to the stored rows and columns to stand the picture upright (EXIF 2.32, tag 0x0112).
UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],
    8: lambda stored: stored.swapaxes(0, 1)[::-1],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(NOISE).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "a.png"), UPRIGHT[orientation](NOISE))


def test_exif_orientation_of_a_drafted_jpeg(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = np.zeros((320, 640, 3), dtype=np.uint8)
    picture[:, :320] = 255  # stored left half white: upright, the upper half
    Image.fromarray(picture).save(tmp_path / "a.jpg", exif=exif)
    image = read(tmp_path / "a.jpg", Geometry((40, 20), (40, 20)))
    assert image[:18].min() > 240
    assert image[22:].max() < 15


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\x08\0\0\0\xff\xff", b"Exif\0\0"])
def test_broken_exif_does_not_cost_the_picture(tmp_path: Path, exif: bytes) -> None:
    Image.new("RGB", (8, 6), (200, 100, 50)).save(tmp_path / "a.jpg", exif=exif)
    assert read(tmp_path / "a.jpg").shape == (6, 8, 3)


def palette_picture() -> Image.Image:
    picture = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8)).convert("P")
    picture.putdata([0, 1, 2])
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    return picture


def test_palette_is_looked_up(tmp_path: Path) -> None:
    palette_picture().save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]


def test_a_transparent_palette_entry_lies_on_white(tmp_path: Path) -> None:
    palette_picture().save(tmp_path / "a.png", transparency=1)
    assert read(tmp_path / "a.png").tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]


def test_rgba_lies_on_white(tmp_path: Path) -> None:
    pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0], [0, 100, 200, 51]]], dtype=np.uint8)  # alpha 1, 0, 1/5
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png").tolist() == [[[10, 20, 30], [255, 255, 255], [204, 224, 244]]]


def test_gray_with_alpha_lies_on_white(tmp_path: Path) -> None:
    pixels = np.array([[[10, 255], [10, 0], [0, 51]]], dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png")[0].tolist() == [[10] * 3, [255] * 3, [204] * 3]


@pytest.mark.parametrize(("pixels", "clear"), [([[0, 9, 200]], 9), ([[[1, 2, 3], [4, 5, 6]]], (4, 5, 6))])
def test_a_transparent_colour_lies_on_white(tmp_path: Path, pixels: list[object], clear: int) -> None:
    stored = np.array(pixels, dtype=np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png", transparency=clear)
    image = read(tmp_path / "a.png")
    assert image[0, 0].tolist() == np.broadcast_to(stored[0, 0], 3).tolist()
    assert image[0, 1].tolist() == [255, 255, 255]


def test_one_bit_is_black_and_white(tmp_path: Path) -> None:
    bits = np.array([[True, False], [False, True]])
    picture = Image.fromarray(bits)
    assert picture.mode == "1"
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png")[..., 0], bits * 255)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path, suffix: str) -> None:
    stored = np.array([[0, 257, 25_700, 65_535]], dtype=np.uint16)
    Image.fromarray(stored).save(tmp_path / f"a.{suffix}")
    assert read(tmp_path / f"a.{suffix}")[0, :, 0].tolist() == [0, 1, 100, 255]


def test_32_bit_integers_are_scaled_like_16(tmp_path: Path) -> None:
    stored = np.array([[0, 257, 65_535]], dtype=np.int32)
    Image.fromarray(stored).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 1, 255]


@pytest.mark.parametrize("full", [1.0, 255.0])
def test_floats_to_one_or_to_255(tmp_path: Path, full: float) -> None:
    Image.fromarray(np.array([[0, 0.2 * full, full]], dtype=np.float32)).save(tmp_path / "a.tif")
    assert read(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 51, 255]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 300]], np.float32), "up to 300 have no known scale"),
        (np.array([[-1, 1]], np.float32), "from -1 to 1 have no known scale"),
        (np.array([[0, np.nan]], np.float32), "have no known scale"),
        (np.array([[0, np.inf]], np.float32), "from 0 to inf have no known scale"),
        (np.array([[0, 70_000]], np.int32), "up to 70000 have no known scale"),
        (np.array([[-5, 7]], np.int32), "from -5 to 7 have no known scale"),
    ],
)
def test_values_of_no_known_scale_are_refused(tmp_path: Path, values: npt.NDArray[np.generic], message: str) -> None:
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "a.tif")


def test_cmyk_jpeg_is_not_inverted(tmp_path: Path) -> None:
    picture = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    picture.save(tmp_path / "a.jpg", quality=95)
    red, green, blue = read(tmp_path / "a.jpg")[8, 8].tolist()
    assert red > 240
    assert max(green, blue) < 15


def test_the_first_frame_of_a_gif(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ((255, 0, 0), (0, 0, 255)))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (read(tmp_path / "a.gif") == [255, 0, 0]).all()


def test_gray_to_three_channels_and_colour_to_one(tmp_path: Path) -> None:
    Image.fromarray(NOISE[..., 0]).save(tmp_path / "gray.png")
    Image.fromarray(NOISE).save(tmp_path / "colour.png")
    size = NOISE.shape[:2]
    gray = read(tmp_path / "gray.png", Geometry((size[0], size[1])))
    np.testing.assert_array_equal(gray, np.repeat(NOISE[..., :1], 3, axis=2))
    luma = (NOISE @ np.array([0.299, 0.587, 0.114]))[..., None]  # ITU-R 601-2
    one = read(tmp_path / "colour.png", Geometry((size[0], size[1]), channels=1))
    assert one.shape == (*size, 1)
    assert np.abs(one - luma).max() <= 1


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(37, 53), (53, 37), (40, 40), (31, 90), (201, 33), (64, 65)])
@pytest.mark.parametrize(("resize", "crop"), [(33, 32), (35, 28), (40, 27)])
def test_resize_and_crop_are_those_of_torchvision(mode: str, size: tuple[int, int], resize: int, crop: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    expected = CenterCrop(crop)(Resize(resize, InterpolationMode(mode))(picture))
    image = to_image(picture, Geometry((crop, crop), resize, mode))
    np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(expected))


def test_without_resize_the_picture_is_brought_straight_to_size() -> None:
    picture = Image.fromarray(NOISE)
    image = to_image(picture, Geometry((3, 11), interpolation="nearest"))
    np.testing.assert_array_equal(
        image.permute(1, 2, 0).numpy(), np.asarray(picture.resize((11, 3), Image.Resampling.NEAREST))
    )


def test_draft_mode_stays_close_to_the_full_decoding(tmp_path: Path) -> None:
    Image.fromarray(smooth(900, 1203)).save(tmp_path / "a.jpg", quality=95)
    geometry = Geometry((48, 48), 60)
    drafted = decode((tmp_path / "a.jpg").read_bytes(), geometry)
    assert 120 <= min(drafted.size) < 900  # smaller than stored, yet twice what is asked for
    full = to_image(decode((tmp_path / "a.jpg").read_bytes()), geometry)
    assert (to_image(drafted, geometry).int() - full.int()).abs().max() <= 4


def test_a_small_jpeg_is_decoded_in_full(tmp_path: Path) -> None:
    Image.fromarray(smooth(60, 60)).save(tmp_path / "a.jpg")
    assert decode((tmp_path / "a.jpg").read_bytes(), Geometry((32, 32))).size == (60, 60)


def bomb() -> bytes:
    """A PNG of a few bytes that declares 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def encoded(form: str) -> bytes:
    file = BytesIO()
    Image.fromarray(smooth(64, 64)).save(file, form)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("cut.jpg", encoded("JPEG")[:-200], "damaged picture .*truncated"),
        ("cut.png", encoded("PNG")[:-200], "damaged picture"),
        ("cut.gif", encoded("GIF")[:-200], "damaged picture"),
        ("cut.bmp", encoded("BMP")[:-200], "damaged picture"),
        ("cut.tif", encoded("TIFF")[:-200], "damaged picture|not a picture"),
        ("cut.webp", encoded("WEBP")[:-200], "damaged picture|not a picture"),
        ("head.jpg", encoded("JPEG")[:20], "damaged picture|not a picture"),
        ("text.jpg", b"this is not a picture", "not a picture of a known format"),
        ("empty.jpg", b"", "not a picture of a known format"),
        ("script.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture of a known format"),
        ("page.jpg", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a picture of a known format"),
        ("bomb.png", bomb(), "too many pixels to be safe"),
    ],
)
def test_bad_bytes_are_refused_in_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}: ({message})") as caught:
        read_image(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM"])
def test_no_damage_raises_anything_but_value_error(form: str) -> None:
    whole, random = encoded(form), np.random.default_rng(3)
    reasons = []
    for _ in range(60):
        content = bytearray(whole)
        for position in random.integers(0, len(whole), 6):
            content[position] = random.integers(0, 256)
        for position in random.integers(0, min(64, len(whole)), 2):
            content[position] = random.integers(0, 256)
        try:
            decode(bytes(content), Geometry((8, 8)))
        except ValueError as error:
            reasons.append(str(error))
    assert reasons
    assert not any("\n" in reason for reason in reasons)


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1)])
def test_a_thread_of_a_picture_does_not_fill_memory(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("L", size, 9).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png: too long and thin: .* would become"):
        read_image(tmp_path / "a.png", Geometry((224, 224), 256))
    assert read_image(tmp_path / "a.png", Geometry((8, 8))).shape == (1, 3, 8, 8)


def test_a_panorama_is_read(tmp_path: Path) -> None:
    Image.new("L", (640, 16), 9).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png", Geometry((8, 8), 9)).shape == (1, 3, 8, 8)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, message in [
        ("none.jpg", "No such file"),
        (".", "is not a regular file"),
        ("pipe.jpg", "is not a regular file"),
        ("x" * 300, "too long"),
    ]:
        with pytest.raises(ValueError, match=message):
            read_image(tmp_path / name)


def test_a_very_long_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.jpg").open("wb") as file:
        file.truncate(pictures.MAX_BYTES + 1)  # sparse: takes no room
    with pytest.raises(ValueError, match=r"a\.jpg: larger than 512 MiB"):
        read_image(tmp_path / "a.jpg")

"""Image files of all kinds are decoded as displayed."""

import io
import struct
import threading

import numpy as np
import pytest
from PIL import Image

from datasets.images import files
from datasets.images.files import FileImages, load_image
from tests.fake_data import write_image
from utils import UserError


def save(image, path, **options):
    image.save(path, **options)
    return path


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def on_white(color, alpha):
    """Pixels over a white background, as numbers."""
    opacity = alpha[..., None] / 255
    return color * opacity + 255 * (1 - opacity)


def test_rgb_is_unchanged(tmp_path):
    array = pixels(5, 7, 3)
    loaded = load_image(save(Image.fromarray(array), tmp_path / "a.png"))
    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype == np.uint8
    assert loaded.flags.writeable


def test_gray_is_repeated(tmp_path):
    array = pixels(5, 7)
    loaded = load_image(save(Image.fromarray(array), tmp_path / "a.png"))
    np.testing.assert_array_equal(loaded, np.repeat(array[..., None], 3, axis=2))


def test_one_channel_on_request(tmp_path):
    array = pixels(5, 7)
    path = save(Image.fromarray(array), tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(path, channels=1), array[..., None])


def test_one_bit_is_black_and_white(tmp_path):
    array = pixels(5, 7) > 127
    loaded = load_image(save(Image.fromarray(array), tmp_path / "a.png"))
    np.testing.assert_array_equal(loaded, np.repeat(array[..., None] * 255, 3, axis=2))


def test_transparency_is_put_on_white(tmp_path):
    array = pixels(5, 7, 4)
    array[0, :, 3] = 0
    loaded = load_image(save(Image.fromarray(array), tmp_path / "a.png"))
    np.testing.assert_allclose(loaded, on_white(array[..., :3], array[..., 3]), atol=1)
    assert (loaded[0] == 255).all()


def test_gray_with_transparency_is_put_on_white(tmp_path):
    array = pixels(5, 7, 2)
    loaded = load_image(save(Image.fromarray(array, "LA"), tmp_path / "a.png"))
    expected = on_white(np.repeat(array[..., :1], 3, axis=2), array[..., 1])
    np.testing.assert_allclose(loaded, expected, atol=1)


def palette_image():
    indices = pixels(5, 7) % 4
    colors = np.array([[10, 20, 30], [200, 0, 0], [0, 200, 0], [0, 0, 200]], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(colors.tobytes())
    return image, indices, colors


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palettes_are_looked_up(tmp_path, suffix):
    image, indices, colors = palette_image()
    loaded = load_image(save(image, tmp_path / f"a.{suffix}"))
    np.testing.assert_array_equal(loaded, colors[indices])


@pytest.mark.parametrize(
    ("transparency", "alpha"),
    [(2, [255, 255, 0, 255]), (bytes([0, 128, 255, 64]), [0, 128, 255, 64])],
)
def test_palettes_with_transparency_are_put_on_white(tmp_path, transparency, alpha):
    image, indices, colors = palette_image()
    loaded = load_image(save(image, tmp_path / "a.png", transparency=transparency))
    expected = on_white(colors[indices], np.array(alpha)[indices])
    np.testing.assert_allclose(loaded, expected, atol=1)


@pytest.mark.parametrize(("mode", "color"), [("L", 77), ("RGB", (1, 2, 3))])
def test_a_transparent_color_becomes_white(tmp_path, mode, color):
    image = Image.new(mode, (4, 4), color)
    image.putpixel((0, 0), 0 if mode == "L" else (0, 0, 0))
    loaded = load_image(save(image, tmp_path / "a.png", transparency=color))
    assert (loaded[0, 0] == 0).all()
    assert (loaded[1:] == 255).all()


def test_cmyk_has_the_colors_of_the_ink(tmp_path):
    for ink, expected in (
        ((255, 0, 0, 0), (0, 255, 255)),
        ((0, 255, 0, 0), (255, 0, 255)),
        ((0, 0, 0, 0), (255, 255, 255)),
        ((0, 0, 0, 255), (0, 0, 0)),
    ):
        path = save(Image.new("CMYK", (16, 16), ink), tmp_path / "a.jpg", quality=95)
        np.testing.assert_allclose(load_image(path)[8, 8], expected, atol=4)


def write_tiff(path, width, bits, content, zero_is=1, kind=1):
    """A TIFF file of one row, uncompressed; ``kind`` 1: unsigned, 2: signed, 3: floating-point."""
    tags = {256: width, 257: 1, 258: bits, 259: 1, 262: zero_is, 273: 8, 277: 1, 278: 1}
    tags |= {279: len(content), 339: kind}
    content += b"\0" * (len(content) % 2)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(content)) + content + directory)
    return path


@pytest.mark.parametrize(
    ("dtype", "kind", "message"),
    [
        ("<f4", 3, "floating-point"),
        ("<i4", 2, "signed or 32-bit"),
        ("<u4", 1, "signed or 32-bit"),
        ("<i2", 2, "signed or 32-bit"),
    ],
)
def test_numbers_without_black_and_white_are_refused(tmp_path, dtype, kind, message):
    values = np.array([0, 1, 200, 30000], dtype)
    path = write_tiff(tmp_path / "a.tif", 4, 8 * values.itemsize, values.tobytes(), kind=kind)
    with pytest.raises(UserError, match=rf"a\.tif: its pixels are {message} numbers; convert it"):
        load_image(path)


def test_a_floating_point_image_of_another_format_is_refused(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"Pf\n2 1\n-1.0\n" + np.array([0.5, 1], "<f4").tobytes())
    with pytest.raises(UserError, match="floating-point"):
        load_image(tmp_path / "a.ppm")


def test_twelve_bits_reach_white(tmp_path):
    """Two pixels are three bytes: 0x000 and 0xfff, 0x800 and 0x123."""
    path = write_tiff(tmp_path / "a.tif", 4, 12, bytes.fromhex("000fff800123"))
    expected = [round(value * 255 / 4095) for value in (0, 0xFFF, 0x800, 0x123)]
    np.testing.assert_array_equal(load_image(path, 1)[0, :, 0], expected)


def test_white_may_be_zero_with_sixteen_bits(tmp_path):
    levels = np.array([0, 257 * 10, 257 * 200, 65535], "<u2")
    shown = [
        load_image(write_tiff(tmp_path / f"{zero}.tif", 4, 16, levels.tobytes(), zero), 1)
        for zero in (0, 1)
    ]
    assert shown[0].ravel().tolist() == [255, 245, 55, 0]
    assert shown[1].ravel().tolist() == [0, 10, 200, 255]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, suffix):
    array = np.array([[0, 257, 32896, 65535], [128, 129, 1000, 65000]], np.uint16)
    loaded = load_image(save(Image.fromarray(array), tmp_path / f"a.{suffix}"))
    np.testing.assert_array_equal(loaded[..., 0], [[0, 1, 128, 255], [0, 1, 4, 253]])
    np.testing.assert_array_equal(loaded[..., 0], loaded[..., 2])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    upright = pixels(4, 6, 3)
    # How the EXIF standard has a camera store an upright picture.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: np.rot90(upright.swapaxes(0, 1), 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(np.ascontiguousarray(stored))
    path = save(image, tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(load_image(path), upright)


def test_broken_exif_does_not_cost_the_image(tmp_path):
    path = save(
        Image.new("RGB", (8, 8), "red"), tmp_path / "a.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x09ab"
    )
    np.testing.assert_allclose(load_image(path)[4, 4], (254, 0, 0), atol=2)


def test_animations_show_their_first_frame(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    path = save(frames[0], tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert (load_image(path) == (255, 0, 0)).all()


def damaged_files(folder):
    whole = write_image(folder / "whole.jpg", size=(64, 64)).read_bytes()
    png = write_image(folder / "whole.png", size=(64, 64)).read_bytes()
    contents = {
        "truncated.jpg": whole[: len(whole) // 2],
        "truncated.png": png[: len(png) // 2],
        "empty.jpg": b"",
        "text.jpg": b"this is\nno image",
        "header.jpg": whole[:20],
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    Image.new("1", (10000, 9500)).save(folder / "large.png")
    Image.new("1", (20000, 10000)).save(folder / "bomb.png")
    return [*contents, "large.png", "bomb.png", "missing.jpg"]


def test_unreadable_files_give_a_one_line_error_with_their_name(tmp_path, recwarn):
    for name in damaged_files(tmp_path):
        with pytest.raises(UserError) as caught:
            load_image(tmp_path / name)
        assert str(caught.value).startswith(f"cannot read {tmp_path / name}: ")
        assert "\n" not in str(caught.value)
    assert not recwarn.list


def test_gigantic_images_are_errors_in_threads_too(tmp_path):
    Image.new("1", (10000, 9500)).save(tmp_path / "large.png")
    raised = []

    def load():
        try:
            load_image(tmp_path / "large.png")
        except Exception as error:
            raised.append(type(error))

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert raised == [UserError] * 4


def test_file_images_are_read_lazily(tmp_path):
    paths = [write_image(tmp_path / f"{i}.png", i) for i in range(3)]
    images = FileImages([*paths, tmp_path / "missing.png"])
    assert len(images) == 4
    np.testing.assert_array_equal(images[2], np.asarray(Image.open(paths[2])))
    with pytest.raises(UserError, match=r"missing\.png"):
        images[3]


def by_pillow(content, channels):
    """The pixels, or the kind of failure, without the fast decoder."""
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
        return files._any_image(image, channels)
    except Exception:
        return None


def by_project(path, channels):
    try:
        return load_image(path, channels)
    except UserError:
        return None


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def photograph(height=61, width=83):
    """Smooth image with edges and a little noise."""
    ys, xs = np.mgrid[:height, :width]
    waves = np.stack([np.sin(xs / 7), np.cos(ys / 9), np.sin((xs + ys) / 11)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 6, waves.shape)
    return Image.fromarray(np.clip(128 + 120 * waves + noise, 0, 255).astype(np.uint8))


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


JPEGS = {
    "plain": jpeg(photograph()),
    "not subsampled": jpeg(photograph(), subsampling=0, quality=95),
    "half subsampled": jpeg(photograph(), subsampling=1),
    "poor": jpeg(photograph(), quality=5),
    "progressive": jpeg(photograph(), progressive=True),
    "rgb": jpeg(photograph(), keep_rgb=True),
    "gray": jpeg(photograph().convert("L")),
    "cmyk": jpeg(photograph().convert("CMYK")),
    "restarts": jpeg(photograph(), restart_marker_rows=1),
    "upright": jpeg(photograph(), exif=orientation(1)),
    "turned": jpeg(photograph(), exif=orientation(6)),
    "tiny": jpeg(photograph(1, 1)),
    "trailing bytes": jpeg(photograph()) + b"more",
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", JPEGS)
def test_jpegs_are_decoded_as_by_pillow(tmp_path, kind, channels):
    (tmp_path / "a.jpg").write_bytes(JPEGS[kind])
    result = load_image(tmp_path / "a.jpg", channels)
    np.testing.assert_array_equal(result, by_pillow(JPEGS[kind], channels))
    assert result.flags.writeable


@pytest.mark.parametrize("kind", ["plain", "progressive", "gray", "restarts"])
def test_cut_jpegs_are_refused_wherever_pillow_refuses_them(tmp_path, kind):
    content, path = JPEGS[kind], tmp_path / "a.jpg"
    refused = 0
    for length in [*range(1, len(content), 37), *range(len(content) - 12, len(content) + 1)]:
        path.write_bytes(content[:length])
        expected = by_pillow(content[:length], 3)
        result = by_project(path, 3)
        refused += result is None
        assert (result is None) == (expected is None), length
        if expected is not None:
            np.testing.assert_array_equal(result, expected)
    assert refused > 10


def test_damaged_jpegs_look_or_fail_as_by_pillow(tmp_path):
    rng, path = np.random.default_rng(1), tmp_path / "a.jpg"
    shown = 0
    for _ in range(200):
        content = bytearray(JPEGS["plain"])
        for place in rng.integers(2, len(content), 2):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        expected = by_pillow(bytes(content), 3)
        result = by_project(path, 3)
        assert (result is None) == (expected is None)
        if expected is not None:
            shown += 1
            np.testing.assert_array_equal(result, expected)
    assert shown > 20


def test_damaged_headers_are_taken_as_by_pillow(tmp_path):
    rng, path = np.random.default_rng(3), tmp_path / "a.jpg"
    shown = failed = 0
    for i in range(600):
        content = bytearray(list(JPEGS.values())[i % len(JPEGS)])
        for place in rng.integers(2, content.index(b"\xff\xda") + 20, rng.integers(1, 4)):
            content[place % len(content)] = rng.integers(256)
        path.write_bytes(content)
        expected, result = by_pillow(bytes(content), 3), by_project(path, 3)
        assert (result is None) == (expected is None)
        if expected is None:
            failed += 1
        else:
            shown += 1
            np.testing.assert_array_equal(result, expected)
    assert min(shown, failed) > 100


def test_ordinary_jpegs_take_the_fast_decoder(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_any_image", None)
    for kind in ("plain", "progressive", "rgb", "gray", "upright"):
        (tmp_path / "a.jpg").write_bytes(JPEGS[kind])
        assert load_image(tmp_path / "a.jpg").shape == (61, 83, 3)

"""Answers as files: what is written can be read by others, and nothing is overwritten."""

import io
import wave

import numpy as np
import pytest
from PIL import Image

from tasks.answers import Answer, Picture, Sound, new_file


def test_a_picture_is_a_png_and_a_sound_a_wav_of_16_bits():
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    with Image.open(io.BytesIO(Picture(pixels).encoded())) as image:
        assert image.format == "PNG" and np.array_equal(np.asarray(image), pixels)
    sound = Sound(np.array([0.0, 0.5, -1.0, 3.0], np.float32), rate_hz=8_000)
    with wave.open(io.BytesIO(sound.encoded())) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8_000)
        values = np.frombuffer(file.readframes(4), "<i2")
    assert values.tolist() == [0, 16_384, -32_767, 32_767]


def test_a_file_is_written_whole_and_never_over_another(tmp_path):
    with new_file(tmp_path / "a.png") as file:
        file.write(b"first")
    with pytest.raises(FileExistsError), new_file(tmp_path / "a.png") as file:
        file.write(b"second")
    with pytest.raises(KeyError), new_file(tmp_path / "b.png") as file:
        file.write(b"third")
        raise KeyError
    assert (tmp_path / "a.png").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_programs_get_text_and_values():
    assert Answer("cat", {"chance": 0.5}).to_dict() == {"text": "cat", "chance": 0.5}

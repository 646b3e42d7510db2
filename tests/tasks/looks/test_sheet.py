"""Pictures of pictures are laid out as stated."""

import numpy as np
import torch
from PIL import ImageFont

from tasks.looks.sheet import (
    ALIGNED_PX,
    CELL_PX,
    GAP_PX,
    TITLE_PX,
    alignment_picture,
    confusion_picture,
    contact_sheet,
    fitting,
    font_of,
    plain,
)


def test_a_contact_sheet_has_rows_of_pictures_with_room_for_titles():
    white = torch.full((7, 1, 4, 4), 255, dtype=torch.uint8)
    white[6] = 0
    sheet = contact_sheet(white, [""] * 7, columns=3, side_px=20)
    assert sheet.shape == (3 * (20 + GAP_PX + TITLE_PX), 66, 3)
    assert (sheet[2 * (20 + GAP_PX + TITLE_PX) + 5, 5] == 0).all()  # the seventh, on the third row
    assert (sheet[5, 45] == 255).all()


def test_the_diagonal_is_blue_and_mistakes_are_red():
    confusion = torch.tensor([[10.0, 0.0], [5.0, 5.0]])
    picture = confusion_picture(confusion, ["a", "b"])
    left = picture.shape[0] - 4 - 2 * CELL_PX

    def corner(row, column):
        return picture[left + CELL_PX * row + 2, left + CELL_PX * column + 2]

    assert np.array_equal(corner(0, 0), [0, 0, 255])
    assert np.array_equal(corner(0, 1), [255, 255, 255])
    assert np.array_equal(corner(1, 0), [255, 0, 0])
    assert np.array_equal(corner(1, 1), [127, 127, 255])


def test_an_alignment_is_dark_where_the_writer_looked():
    weights = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.25, 0.75]])
    picture = alignment_picture(["▁a", "b", "</s>"], ["▁eins", "</s>"], weights)
    top, left = picture.shape[0] - 4 - 2 * ALIGNED_PX, picture.shape[1] - 4 - 3 * ALIGNED_PX
    red = [
        [
            picture[top + ALIGNED_PX * row + 10, left + ALIGNED_PX * column + 10, 0]
            for column in range(3)
        ]
        for row in range(2)
    ]
    assert red == [[0, 255, 255], [255, 255 - 63, 255 - 191]]
    assert (picture[..., 2] == 255).mean() > 0.9


def test_letters_that_a_font_lacks_lose_their_accents():
    assert plain("_zwölf_Männer_é", ImageFont.load_default(16)) == "_zwolf_Manner_e"
    font = font_of(16)
    assert font.getname()[0] == "Aileron" or plain("zwölf", font) == "zwölf"


def test_a_long_title_ends_in_dots_and_large_counts_have_room():
    font = font_of(11)
    assert fitting("cat", font, 80) == "cat"
    cut = fitting("golden retriever", font, 60)
    assert cut.endswith("...") and font.getlength(cut) <= 60
    counts = torch.tensor([[10.0, 12_345.0], [0.0, 5.0]])
    wide = confusion_picture(counts, ["a", "b"]).shape[0]
    assert wide > confusion_picture(counts / 1000, ["a", "b"]).shape[0]


def test_small_pictures_are_enlarged_by_whole_numbers_and_large_ones_fit():
    ramp = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3) * 20
    sheet = contact_sheet(ramp, [""], columns=1, side_px=10)
    assert (sheet[:9, :9, 0] == np.kron(ramp[0, 0].numpy(), np.ones((3, 3)))).all()
    assert (
        contact_sheet(torch.zeros(1, 3, 224, 100).byte(), [""], columns=1).shape[1] == 84 + GAP_PX
    )

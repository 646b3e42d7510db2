"""Pictures on a larger ground: whole, anywhere, among pieces of others."""

import pytest
import torch

from backbones.training.config import changed
from backbones.training.errors import UserError
from tasks.data.find import read_set
from tasks.labels import glimpse
from tasks.worlds import clutter_files
from tasks.worlds.clutter import A_PIECE, ON_GROUND, PIECE_PX, pieces, scattered


def test_a_picture_lies_where_its_two_numbers_say():
    picture = torch.arange(1, 5, dtype=torch.uint8).view(1, 1, 2, 2).expand(3, -1, -1, -1)
    random = torch.tensor([[0.0, 0.0], [0.999, 0.999], [0.4, 0.6]])
    ground = scattered(picture, 6, None, random)
    assert ground.shape == (3, 1, 6, 6) and ground.dtype == torch.uint8
    # Five places fit in each direction: 0.4 is the third of them, 0.6 the fourth.
    for row, (top, left) in enumerate([(0, 0), (4, 4), (2, 3)]):
        assert torch.equal(ground[row, 0, top : top + 2, left : left + 2], picture[row, 0])
        assert int(ground[row].sum()) == 10


def test_pieces_are_cut_out_of_others_and_the_brighter_pixel_is_seen():
    others = torch.stack([torch.full((1, 12, 12), 50.0), torch.full((1, 12, 12), 200.0)])
    cut = pieces(others, torch.tensor([[0.2, 0.0, 0.0], [0.7, 0.5, 0.999]]))
    assert cut.shape == (2, 1, PIECE_PX, PIECE_PX)
    assert torch.equal(cut[:, 0, 0, 0], torch.tensor([50.0, 200.0]))
    picture = torch.full((1, 1, 4, 4), 100.0)
    for which, seen in ((0.2, 100.0), (0.7, 200.0)):
        random = torch.tensor([[0.0, 0.0, which, 0.0, 0.0, 0.0, 0.0]])
        assert random.shape[1] == ON_GROUND + A_PIECE
        ground = scattered(picture, 16, others, random)
        assert float(ground[0, 0, 0, 0]) == seen and float(ground[0, 0, 15, 15]) == 0
        assert int((ground > 0).sum()) == PIECE_PX**2


def test_pictures_in_colour_keep_their_channels():
    picture = torch.randint(1, 256, (2, 3, 5, 5), dtype=torch.uint8)
    ground = scattered(picture, 9, None, torch.full((2, 2), 0.5))
    assert torch.equal(ground[:, :, 2:7, 2:7], picture)


def test_files_hold_the_test_pictures_that_glimpse_scores(tmp_path):
    config = clutter_files.Config(
        folder=tmp_path / "c", set="digits", samples=50, ground_px=40, clutter=2
    )
    clutter_files.write_files(config)
    mine = read_set(tmp_path / "c", "test")
    task = glimpse.Glimpse.of(changed(glimpse.SMOKE, samples=50, ground_px=40, clutter=2))
    scored = task.to_score("test").batch(torch.arange(200))
    assert torch.equal(mine.picture, scored["picture"]) and torch.equal(mine.label, scored["label"])
    assert len(read_set(tmp_path / "c", "train")) == 150  # and those that validate
    with pytest.raises(UserError, match="not empty"):
        clutter_files.write_files(config)

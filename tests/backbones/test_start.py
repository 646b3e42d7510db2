"""`--init`: all of a run that learnt the same, backbones by name, files; misfits are named."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from backbones.cnn import build_trunk
from backbones.lstm import LSTM, LSTMSpec
from backbones.start import start_from
from backbones.training import checkpoint
from backbones.training.errors import UserError
from backbones.training.run import Run
from backbones.transfer import (
    backbones,
    freeze,
    heads_of,
    load_backbone,
    load_weights,
    parameter_groups,
    snapshot,
)
from backbones.trunk import TrunkSpec
from rl.ppo import SMOKE

INFO = {"job": "ppo", "data": "a game", "score": 3.5}


class Model(nn.Module):
    """A trunk, an LSTM and a head, as an agent with a memory has them."""

    def __init__(self, seed, width=0.25, units=8, answers=3, channels=4):
        super().__init__()
        torch.manual_seed(seed)
        self.cnn = build_trunk(TrunkSpec(name="plain", width=width, in_channels=channels))
        self.hidden = nn.Linear(4, 4)
        self.lstm = LSTM(LSTMSpec(inputs=4, units=units))
        self.head = nn.Linear(units, answers)


class TwoSided(nn.Module):
    """An LSTM that reads and one that writes, as a translator has them."""

    def __init__(self, seed, units=8):
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = LSTM(LSTMSpec(inputs=4, units=units, bidirectional=True))
        self.decoder = LSTM(LSTMSpec(inputs=4, units=units))
        self.head = nn.Linear(units, 5)


def saved(model, name="source", old=False):
    """Return a run whose only checkpoint is of a model, as it was written before LSTMs had files
    if it is `old`."""
    run = Run.create("ppo", SMOKE, name, name, "smoke")
    made = snapshot(7, model, {}, INFO)
    parts = dict(made.parts)
    if old:
        for part in ("lstm", "encoder", "decoder"):
            parts["heads"] |= checkpoint.prefixed(part, parts.pop(part, {}))
    metadata = {part: made.metadata[part] for part in parts if part in made.metadata}
    checkpoint.save(run.checkpoints, 7, parts, INFO, metadata)
    return run


def taken(model, source):
    """Return the first words of the names of the tensors that two models have in common."""
    theirs = source.state_dict()
    return {
        name.split(".")[0]
        for name, tensor in model.state_dict().items()
        if name in theirs and torch.equal(tensor, theirs[name]) and tensor.unique().numel() > 1
    }


def start(model, init, same=False):
    return start_from(model, init, lambda run, found: same)


def test_every_backbone_has_a_file_and_a_card_of_its_own(runs):
    model = Model(0)
    assert list(backbones(model)) == ["cnn", "lstm"]
    assert {name.split(".")[0] for name in heads_of(model)} == {"hidden", "head"}
    folder = checkpoint.load_newest(saved(model).checkpoints)[0].folder
    assert sorted(path.stem for path in folder.glob("*.safetensors")) == [
        "cnn",
        "heads",
        "lstm",
        "state",
    ]
    lstm, card = load_backbone(folder / "lstm.safetensors")
    assert card.items() >= {**INFO, "progress": 7, "kind": "lstm"}.items()
    assert isinstance(lstm, LSTM) and lstm.spec == model.lstm.spec
    assert torch.equal(lstm.lstm.weight_hh_l0, model.lstm.lstm.weight_hh_l0)


@pytest.mark.parametrize("old", [False, True])
def test_a_checkpoint_gives_a_model_all_its_weights_wherever_its_lstm_lies(runs, old):
    for make in (Model, TwoSided):
        source, model = make(0), make(1)
        found = checkpoint.load_newest(saved(source, make.__name__, old).checkpoints)[0]
        load_weights(model, found)
        for name, tensor in source.state_dict().items():
            assert torch.equal(model.state_dict()[name], tensor)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(
    ("part", "same", "expected"),
    [
        ("", True, {"cnn", "lstm", "hidden", "head"}),
        ("", False, {"cnn", "lstm"}),
        (":cnn", True, {"cnn"}),
        (":lstm", True, {"lstm"}),
    ],
)
def test_a_run_gives_all_its_backbones_or_the_one_that_is_named(runs, old, part, same, expected):
    source, model = Model(0), Model(1)
    saved(source, old=old)
    lines = start(model, f"source{part}", same)
    assert taken(model, source) == expected
    assert all("job ppo, data a game, progress 7, score 3.5" in line for line in lines[:1])


def test_heads_of_other_sizes_start_anew_and_so_does_an_lstm_that_does_not_fit(runs):
    source = Model(0)
    saved(source)
    model = Model(1, answers=4)
    assert "those of ppo/source have other sizes" in start(model, "source", same=True)[-1]
    assert taken(model, source) == {"cnn", "lstm"}
    model = Model(1, units=6)
    lines = start(model, "source")
    assert "lstm does not fit ppo/source" in lines[1] and "layer lstm.weight_ih_l0" in lines[1]
    assert lines[1].endswith("it starts anew") and taken(model, source) == {"cnn"}


def test_a_first_layer_of_other_channels_is_adapted_and_the_heads_still_come(runs):
    source, model = Model(0, channels=1), Model(1)
    saved(source)
    lines = start(model, "source", same=True)
    assert "had 1 input channels, the 4 here are scaled copies" in lines[0]
    assert taken(model, source) >= {"cnn", "lstm", "head"}


def test_what_does_not_fit_or_is_not_there_is_named(runs):
    saved(Model(0))
    with pytest.raises(UserError, match=r"cnn does not fit ppo/source .*: layer s1\.0\.weight has"):
        start(Model(1, width=0.5), "source:cnn")
    with pytest.raises(
        UserError, match=r"lstm does not fit .*: layer lstm\.weight_ih_l0 has shape"
    ):
        start(Model(1, units=6), "source:lstm")
    with pytest.raises(UserError, match=r"cnn does not fit"):
        start(Model(1, width=0.5, units=6), "source")
    with pytest.raises(UserError, match="ppo/source has cnn, lstm, no encoder"):
        start(Model(1), "source:encoder")
    with pytest.raises(UserError, match="has cnn, lstm, and this model has encoder, decoder"):
        start(TwoSided(1), "source")
    with pytest.raises(UserError, match="this model has encoder, decoder; no lstm to start"):
        start(TwoSided(1), "source:lstm")


def test_a_misfit_leaves_the_backbone_as_it_was(runs):
    saved(Model(0))
    model, before = Model(1, width=0.5), Model(1, width=0.5)
    with pytest.raises(UserError, match="does not fit"):
        start(model, "source:cnn")
    assert all(torch.equal(v, before.state_dict()[k]) for k, v in model.state_dict().items())


def test_a_translators_writer_starts_the_only_lstm_of_another_model(runs):
    source, model = TwoSided(0), Model(1)
    saved(source)
    (line,) = start(model, "source:decoder")
    assert line.startswith("lstm starts from ppo/source")
    assert torch.equal(model.lstm.lstm.weight_ih_l0, source.decoder.lstm.weight_ih_l0)


def test_the_file_of_an_lstm_starts_an_lstm(runs):
    source, model = Model(0), Model(1)
    folder = checkpoint.load_newest(saved(source).checkpoints)[0].folder
    (line,) = start(model, str(folder / "lstm.safetensors"))
    assert "lstm starts from" in line and "job ppo" in line
    assert taken(model, source) == {"lstm"}
    assert "lstm.weight_ih_l0" in load_file(folder / "lstm.safetensors")


def test_freezing_and_a_slower_rate_are_for_backbones_by_name():
    model = Model(0)
    groups = parameter_groups(model, 0.1)
    assert [group["scale"] for group in groups] == [0.1, 1.0, 0.1, 1.0]
    # In the model's order, by which an optimiser's state is saved.
    flat = [id(p) for group in groups for p in group["params"]]
    assert flat == [id(p) for p in model.parameters()]
    freeze(model, ["lstm"])
    assert [group["scale"] for group in parameter_groups(model, 0.1)] == [0.1, 1.0]
    freeze(model, ["cnn"])
    assert model.cnn.frozen == ("s1", "s2", "s3")
    assert [group["scale"] for group in parameter_groups(model, 0.1)] == [1.0]
    assert [group["scale"] for group in parameter_groups(TwoSided(0), 0.1)] == [1.0]
    with pytest.raises(UserError, match="--freeze s1: choose from encoder, decoder"):
        freeze(TwoSided(0), ["s1"])

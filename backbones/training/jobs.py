"""Every job by name: the module that it lives in, its kind, what it is. Strings only, so that
`--help` is quick.

A job is a `Job` (`backbones/training/job.py`) that its module calls `JOB`;
`backbones/training/find_job.py` loads it.
"""

import os
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Literal, NamedTuple

Kind = Literal["agent", "task", "go"]


class Entry(NamedTuple):
    """One row of the table."""

    module: str
    kind: Kind
    about: str
    presets: Mapping[str, str]
    """Every preset of the job in a few words; a test holds them to the job's own."""


SMOKE = "seconds: only to see that it runs"
CATCH = "a toy of falling fruit in 84 x 84 pixels, learnt in a minute or a few"

JOBS = {
    "ppo": Entry(
        "rl.ppo",
        "agent",
        "PPO agents on Atari, or any game seen as pixels",
        {
            "default": "the same as fast",
            "fast": "half of Nature's trunk, one rollout ahead: Pong in ten minutes on two cores",
            "sticky": "for sticky actions: centred pictures, learns that its data are old",
            "reference": "Schulman et al. 2017, 10 M env steps",
            "smoke": SMOKE,
            "catch": CATCH,
            "gpu": "112 games beside a GPU and 16 cores",
        },
    ),
    "dqn": Entry(
        "rl.dqn",
        "agent",
        "DQN agents: double, dueling, n-step, prioritised replay",
        {
            "default": "the same as fast",
            "fast": "double DQN, 3-step returns, half of Nature's trunk, for two cores",
            "nature": "Mnih et al. 2015, 50 M env steps, a replay of 1 M transitions",
            "reference": "as in rl-baselines3-zoo, 10 M env steps",
            "smoke": SMOKE,
            "catch": CATCH,
        },
    ),
    "pqn": Entry(
        "rl.pqn",
        "agent",
        "PQN agents: Q(lambda) from parallel games, without a replay",
        {
            "default": "the same as fast",
            "fast": "32 games, centred pictures, half of Nature's trunk, for two cores",
            "nature": "the same games with Nature's whole trunk and 512 hidden units",
            "reference": "Gallici et al. 2024, 10 M of its 50 M env steps",
            "smoke": SMOKE,
            "catch": CATCH,
        },
    ),
    "sb3-ppo": Entry(
        "rl.sb3.ppo",
        "agent",
        "stock PPO of stable-baselines3 on our environments and trunks",
        {
            "default": "as in rl-baselines3-zoo, without its schedules, 1 M env steps",
            "smoke": SMOKE,
            "catch": CATCH,
        },
    ),
    "sb3-a2c": Entry(
        "rl.sb3.a2c",
        "agent",
        "stock A2C of stable-baselines3",
        {
            "default": "as in rl-baselines3-zoo, but for the optimiser, 1 M env steps",
            "smoke": SMOKE,
            "catch": CATCH,
        },
    ),
    "sb3-dqn": Entry(
        "rl.sb3.dqn",
        "agent",
        "stock DQN of stable-baselines3",
        {"default": "as in rl-baselines3-zoo, 1 M env steps", "smoke": SMOKE, "catch": CATCH},
    ),
    "go": Entry(
        "rl.go.train",
        "go",
        "Go, learnt from self-play alone",
        {
            "smoke": SMOKE,
            "default": "5 x 5, 150,000 moves",
            "7x7": "7 x 7, 1.5 M moves",
            "9x9": "9 x 9, 6 M moves",
        },
    ),
    "classify": Entry(
        "tasks.labels.classify",
        "task",
        "image classification: MNIST, CIFAR-10, class folders",
        {
            "default": "generated digits, 3 epochs; --data DIR for class folders",
            "smoke": SMOKE,
            "mnist": "MNIST, two trunks together, 12 epochs",
            "cifar10": "CIFAR-10 with airbench's trunk, 9 epochs",
            "scenes": "300 generated scenes: what a trunk that has learnt elsewhere is worth",
            "photos": "class folders of photos (--data DIR), resnet18 at 224 x 224",
        },
    ),
    "glimpse": Entry(
        "tasks.labels.glimpse",
        "task",
        "image classification from a few small looks",
        {
            "default": "generated digits; --data DIR for class folders",
            "smoke": SMOKE,
            "mnist": "MNIST, 6 looks",
            "translated": "MNIST, anywhere on 60 x 60",
            "cluttered": "MNIST, anywhere on 60 x 60 among pieces of other digits",
        },
    ),
    "segment": Entry(
        "tasks.labels.segment",
        "task",
        "semantic segmentation: the class of every pixel of a road scene",
        {
            "default": "generated road scenes; --data DIR for CamVid, Cityscapes or PASCAL VOC",
            "smoke": SMOKE,
            "camvid": "the pictures of CamVid (--data DIR), 160 x 120",
        },
    ),
    "detect": Entry(
        "tasks.labels.detect",
        "task",
        "object detection: boxes, and masks with --masks",
        {
            "default": "generated scenes; --data DIR: files of COCO, VOC, Penn-Fudan, YOLO",
            "smoke": SMOKE,
            "masks": "the same scenes, a mask for every object too",
        },
    ),
    "caption": Entry(
        "tasks.words.caption",
        "task",
        "captions: a sentence for a picture",
        {
            "default": "generated scenes",
            "smoke": SMOKE,
            "flickr8k": "photos of Flickr8k with five captions each (--data DIR)",
        },
    ),
    "vqa": Entry(
        "tasks.words.answer",
        "task",
        "answers to questions about pictures (VQA)",
        {
            "default": "generated scenes, from the captioner's trunk; --data DIR for VQA or CLEVR",
            "smoke": SMOKE,
            "easy-vqa": "easy-VQA: shapes and colours (--data DIR)",
        },
    ),
    "translate": Entry(
        "tasks.words.translate",
        "task",
        "translation of text, line by line",
        {
            "default": "generated sentences",
            "smoke": SMOKE,
            "multi30k": "Multi30k, English to German (--data DIR)",
        },
    ),
    "text": Entry(
        "tasks.words.text",
        "task",
        "text letter by letter: learns any writing, and writes on",
        {
            "default": "generated sentences",
            "smoke": SMOKE,
            "shakespeare": "tinyshakespeare, the last tenth held out",
        },
    ),
    "handwriting": Entry(
        "tasks.pictures.handwriting",
        "task",
        "handwriting: a pen that writes any line of text, or draws",
        {
            "default": "generated hands",
            "smoke": SMOKE,
            "cursive": "cursive_handwriting, one writer; --data DIR for IAM-OnDB",
            "drawings": "drawings without text: sketch_strokes; --data FILE.npz in stroke-3",
        },
    ),
    "read-handwriting": Entry(
        "tasks.words.read_handwriting",
        "task",
        "a reader of handwriting",
        {
            "default": "generated hands",
            "smoke": SMOKE,
            "cursive": "cursive_handwriting, one writer; --data DIR for IAM-OnDB",
        },
    ),
    "sound": Entry(
        "tasks.sounds.film_sound",
        "task",
        "sound for silent film of strokes",
        {"default": "generated films of strokes; --data DIR for the Greatest Hits", "smoke": SMOKE},
    ),
}


def import_own(module: str) -> object:
    """Import a user's module, from the folder where the person stands if it is nowhere else."""
    # Behind everything else, so that a file there never stands in for one of ours.
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    return import_module(module)

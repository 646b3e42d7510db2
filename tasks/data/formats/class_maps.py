"""What the numbers in a label picture mean: classes by name, the colours that people know them in.

A file's numbers are looked up in a table of 256: a class, VOID (no class: not learnt, not scored),
or UNKNOWN, which is a mistake in the file.

CamVid is Brostow et al. 2009 (https://doi.org/10.1016/j.patrec.2008.04.005) with the 11 classes and
colours of SegNet (Badrinarayanan et al. 2017, https://arxiv.org/abs/1511.00561); Cityscapes is
Cordts et al. 2016 (https://arxiv.org/abs/1604.01685); VOC is Everingham et al. 2010
(https://doi.org/10.1007/s11263-009-0275-4).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

VOID, UNKNOWN = 255, 254
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class ClassMap:
    """The classes of a set of label pictures."""

    name: str
    classes: tuple[str, ...]
    palette: tuple[Colour, ...]
    ids: tuple[int, ...]
    """The number of each class in the files."""
    void_ids: tuple[int, ...]
    """What is no class in the files, and no mistake either."""

    @property
    def table(self) -> UInt8[np.ndarray, "256"]:
        """What each number of a file is."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[list(self.void_ids)] = VOID
        table[list(self.ids)] = np.arange(len(self.classes))
        return table

    @property
    def known(self) -> str:
        """The numbers that a file may have, for people."""
        numbers = sorted((*self.ids, *self.void_ids))
        runs = [f"{numbers[0]} to {numbers[-1]}"] if spans(numbers) else map(str, numbers)
        return ", ".join(runs)


def spans(numbers: list[int]) -> bool:
    """Say whether sorted numbers are all from the first to the last."""
    return numbers == list(range(numbers[0], numbers[-1] + 1))


def voc_palette(count: int) -> tuple[Colour, ...]:
    """Return VOC's colours: the bits of a class's number, spread over red, green and blue."""
    colours = []
    for number in range(count):
        channels = [0, 0, 0]
        for bit in range(8):
            for channel in range(3):
                channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
        colours.append((channels[0], channels[1], channels[2]))
    return tuple(colours)


CAMVID = ClassMap(
    "camvid",
    (
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    (
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    tuple(range(11)),
    (11,),
)

# (name, number in labelIds, colour), in the order of trainIds.
CITY = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)
CITY_NAMES = tuple(name for name, _, _ in CITY)
CITY_COLOURS = tuple(colour for _, _, colour in CITY)
CITYSCAPES = ClassMap(
    "cityscapes",
    CITY_NAMES,
    CITY_COLOURS,
    tuple(number for _, number, _ in CITY),
    tuple(sorted({*range(34), 255} - {number for _, number, _ in CITY})),
)
# The same after Cityscapes' own script has turned labelIds into trainIds.
CITYSCAPES_TRAIN = ClassMap(
    "cityscapes", CITY_NAMES, CITY_COLOURS, tuple(range(len(CITY))), (254, 255)
)

VOC_NAMES = tuple(
    "background aeroplane bicycle bird boat bottle bus car cat chair cow diningtable dog horse "
    "motorbike person pottedplant sheep sofa train tvmonitor".split()
)
VOC = ClassMap("voc", VOC_NAMES, voc_palette(21), tuple(range(21)), (255,))

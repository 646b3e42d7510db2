"""Films of a stick that strikes and scratches things of five materials, with their sound.

Letters: T frames, H rows, W columns, N points in time of a sound.

A film has 64 x 64 pixels, 15 frames a second and lasts 2 s; camera, light, colours, sizes and
speeds are drawn at random, colours without regard to the material, which shows in the texture and
in what gives way. Sounds are modal (van den Doel et al. 2001,
https://doi.org/10.1145/383259.383322): decaying tones in the ratios of bars, plates and bowls,
lower for a larger thing, and a burst of noise, both louder with the stick's speed. Some movements
end above the thing and are silent.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from tasks.worlds.chance import STRIKES, between, sample_rng

SIZE_PX, FRAMES_HZ, FRAMES, RATE_HZ = 64, 15, 30, 16_200
MOST_ACTIONS = 6
FALL_S, REST = 0.2, 20.0  # how long a stick falls; its height above the thing at rest, pixels


@dataclass(frozen=True)
class Material:
    """How a material sounds."""

    name: str
    ratios: tuple[float, ...]
    """Frequencies of the modes over that of the first."""
    first_hz: float
    """Of a thing of middle size."""
    decay_hz: float
    """Of the amplitude of the first mode: it falls to 1/e in 1 / decay_hz seconds."""
    noise: float
    """Share of the burst in the amplitude."""
    noise_hz: tuple[float, float]
    """Where the burst lies."""
    noise_decay_hz: float


# Bars 1 : 2.76 : 5.40 and bowls 1 : 2.32 : 4.25 (Fletcher and Rossing, The Physics of Musical
# Instruments, 1998, chapters 2 and 21), plates of a round edge 1 : 1.59 : 2.14.
MATERIALS = (
    Material("wood", (1.0, 2.76, 5.40), 420.0, 28.0, 0.25, (200.0, 2_000.0), 60.0),
    Material(
        "metal", (1.0, 1.59, 2.14, 2.65, 3.5, 4.9), 1_100.0, 5.0, 0.1, (1_000.0, 7_000.0), 80.0
    ),
    Material("ceramic", (1.0, 2.32, 4.25), 1_700.0, 16.0, 0.15, (2_000.0, 7_000.0), 90.0),
    Material("cloth", (), 120.0, 30.0, 1.0, (60.0, 450.0), 25.0),
    Material("gravel", (), 900.0, 30.0, 1.0, (1_500.0, 7_000.0), 12.0),
)


@dataclass(frozen=True)
class Action:
    """One thing that the stick does."""

    kind: str
    """strike, scratch or miss."""
    time_s: float
    """When it touches the thing, or would have."""
    speed: float
    """0 to 1."""
    until_s: float
    place: float
    """Where on the thing, -1 to 1."""


@dataclass(frozen=True)
class StrikeFilm:
    """One film."""

    frames: UInt8[np.ndarray, "T H W 3"]
    sound: Float32[np.ndarray, "N"]
    actions: tuple[Action, ...]
    material: int

    @property
    def times_s(self) -> list[float]:
        """When something begins to sound."""
        return [action.time_s for action in self.actions if action.kind != "miss"]


def actions(rng: np.random.Generator) -> tuple[Action, ...]:
    """Return what happens in two seconds."""
    out, time = list[Action](), between(rng, 0.25, 0.7)
    while time < FRAMES / FRAMES_HZ - 0.2:
        kind = str(rng.choice(["strike", "strike", "strike", "scratch", "miss"]))
        speed = between(rng, 0.25, 1.0)
        lasts = between(rng, 0.25, 0.5) if kind == "scratch" else 0.0
        until = min(time + lasts, FRAMES / FRAMES_HZ)
        out.append(Action(kind, time, speed, until, between(rng, -0.8, 0.8)))
        time = until + between(rng, 0.3, 0.7)
    return tuple(out[:MOST_ACTIONS])


def tip(done: tuple[Action, ...], time_s: float) -> tuple[float, float]:
    """Return where the stick's tip is: along the thing (-1 to 1) and above it, in pixels."""
    place, height = (done[0].place, REST) if done else (0.0, REST)
    for action in done:
        if time_s >= action.time_s - FALL_S:
            place = action.place
        before, after = action.time_s - time_s, time_s - action.until_s
        top = REST * (0.3 + 0.7 * action.speed)
        end = 6.0 if action.kind == "miss" else 0.0
        if 0 <= before < FALL_S:
            # From rest up to the top, then down ever faster: the last stretch shows the speed.
            height = min(height, end + (top - end) * (before / FALL_S) ** 0.8)
        elif before < 0 and after < 0:
            place, height = action.place + action.speed * 1.5 * -before * side(action), 0.0
        elif 0 <= after < FALL_S:
            height = min(height, end + (REST * 0.6 - end) * (after / FALL_S) ** 0.8)
            place = action.place + action.speed * 1.5 * (action.until_s - action.time_s) * side(
                action
            )
    return float(np.clip(place, -1, 1)), height


def side(action: Action) -> float:
    """Return the way of a scratch: to the middle."""
    return -1.0 if action.place > 0 else 1.0


def texture(rng: np.random.Generator, material: int) -> Float[np.ndarray, "H W"]:
    """Return the brightness of a material, about 1."""
    rows, columns = np.mgrid[0:SIZE_PX, 0:SIZE_PX].astype(np.float64)
    turn = between(rng, -0.3, 0.3)
    along = columns * np.cos(turn) + rows * np.sin(turn)
    across = rows * np.cos(turn) - columns * np.sin(turn)
    name = MATERIALS[material].name
    if name == "wood":
        wave = across * between(rng, 1.0, 1.5) + 1.5 * np.sin(along / 9 + between(rng, 0.0, 6.0))
        return 1 + 0.25 * np.sin(wave) + 0.05 * rng.standard_normal((SIZE_PX, SIZE_PX))
    if name == "metal":
        shine = np.exp(-(((along - between(rng, 15.0, 50.0)) / 6) ** 2))
        return 0.8 + 0.9 * shine + 0.03 * rng.standard_normal((SIZE_PX, 1))
    if name == "ceramic":
        spot = np.hypot(rows - between(rng, 38.0, 48.0), columns - between(rng, 20.0, 44.0))
        return 1.0 + 0.8 * (spot < 3.0) - 0.004 * spot
    if name == "cloth":
        pitch = between(rng, 1.8, 2.3)
        return 1 + 0.3 * np.sin(along * pitch) * np.sin(across * pitch)
    cells = rng.standard_normal((SIZE_PX // 3 + 1, SIZE_PX // 3 + 1))
    return 1 + 0.35 * np.kron(cells, np.ones((3, 3)))[:SIZE_PX, :SIZE_PX]


def strike_film(seed: int, index: int) -> StrikeFilm:
    """Return the film with a number; the same for the same seed and number."""
    rng = sample_rng(seed, STRIKES, index)
    material, done = int(rng.integers(len(MATERIALS))), actions(rng)
    size = between(rng, 0.7, 1.3)
    frames = picture_all(rng, material, done, size)
    return StrikeFilm(frames, sound_of(rng, MATERIALS[material], done, size), done, material)


def picture_all(
    rng: np.random.Generator, material: int, done: tuple[Action, ...], size: float
) -> UInt8[np.ndarray, "T H W 3"]:
    """Return all frames."""
    colour, ground = rng.uniform(0.25, 0.75, (2, 3))
    middle, top = between(rng, 27.0, 37.0), between(rng, 36.0, 42.0)
    half, light = 16 * size, between(rng, 0.75, 1.25)
    surface = texture(rng, material)
    slope = np.linspace(1 - between(rng, 0.0, 0.3), 1, SIZE_PX)[None, :, None]
    rows, columns = np.mgrid[0:SIZE_PX, 0:SIZE_PX].astype(np.float64)
    hand = between(rng, 15.0, 35.0)
    out = np.empty((FRAMES, SIZE_PX, SIZE_PX, 3), np.uint8)
    for number in range(FRAMES):
        time = number / FRAMES_HZ
        place, height = tip(done, time)
        x = middle + place * half * 0.8
        edge = top + dent(material, done, time, columns - x)
        thing = (rows >= edge) & (rows < top + 14 * size) & (np.abs(columns - middle) < half)
        canvas = np.where(thing[..., None], colour * surface[..., None], ground) * light * slope
        canvas = canvas + 0.015 * rng.standard_normal(canvas.shape)
        if MATERIALS[material].name == "gravel":
            throw(canvas, done, time, middle, half, top)
        image = np.ascontiguousarray((canvas * 255).clip(0, 255).astype(np.uint8))
        ends = [(x, top - height - 1), (x + hand, top - height - 30)]
        first, last = [tuple(round(16 * value) for value in end) for end in ends]
        cv2.line(image, first, last, (235, 225, 205), 2, cv2.LINE_AA, shift=4)
        out[number] = image
    return out


def dent(
    material: int, done: tuple[Action, ...], time_s: float, away_px: Float[np.ndarray, "H W"]
) -> Float[np.ndarray, "H W"] | float:
    """Return how far a thing's edge gives way under the stick, in pixels; only cloth does."""
    if MATERIALS[material].name != "cloth":
        return 0.0
    depth = 0.0
    for action in done:
        since = time_s - action.until_s
        if action.kind != "miss" and time_s >= action.time_s:
            depth = max(depth, 5 * action.speed * np.exp(-max(since, 0) * 8))
    return np.asarray(depth * np.exp(-((away_px / 6) ** 2)))


def throw(
    canvas: Float[np.ndarray, "H W 3"],
    done: tuple[Action, ...],
    time_s: float,
    middle: float,
    half: float,
    top: float,
) -> None:
    """Draw the grains that a stroke throws up."""
    for action in done:
        since = time_s - action.time_s
        if action.kind == "miss" or not 0 <= since < 0.3:
            continue
        for grain in range(5):
            x = middle + action.place * half * 0.8 + (grain - 2) * 25 * since
            y = top - 60 * action.speed * since + 200 * since**2
            if 0 <= int(y) < SIZE_PX and 0 <= int(x) < SIZE_PX:
                canvas[int(y), int(x)] = 0.9


def sound_of(
    rng: np.random.Generator, material: Material, done: tuple[Action, ...], size: float
) -> Float32[np.ndarray, "N"]:
    """Return the sound of all actions."""
    length = FRAMES * RATE_HZ // FRAMES_HZ
    out = np.zeros(length)
    for action in done:
        first = round(action.time_s * RATE_HZ)
        time = np.arange(length - first) / RATE_HZ
        if action.kind == "strike":
            out[first:] += 0.5 * action.speed * stroke(rng, material, time, size)
        elif action.kind == "scratch":
            lasts = action.until_s - action.time_s
            shape = np.minimum(time, lasts - time).clip(0, 0.02) / 0.02
            out[first:] += (
                0.12 * (0.4 + action.speed) * shape * band_noise(rng, material, len(time))
            )
    return out.astype(np.float32)


def stroke(
    rng: np.random.Generator, material: Material, time_s: Float[np.ndarray, "N"], size: float
) -> Float[np.ndarray, "N"]:
    """Return a stroke of amplitude about 1."""
    burst = band_noise(rng, material, len(time_s)) * np.exp(-material.noise_decay_hz * time_s)
    out = material.noise * burst
    for number, ratio in enumerate(material.ratios):
        hz = material.first_hz * ratio / size
        if hz < RATE_HZ / 2:
            fall = np.exp(-material.decay_hz * ratio**0.5 * time_s) / (1 + number)
            out = out + (1 - material.noise) * fall * np.sin(2 * np.pi * hz * time_s)
    return np.asarray(out)


def band_noise(rng: np.random.Generator, material: Material, count: int) -> Float[np.ndarray, "N"]:
    """Return noise in the material's band, with the effective value 0.5."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
    low, high = material.noise_hz
    spectrum[(hz < low) | (hz > high)] = 0
    noise = np.fft.irfft(spectrum, count)
    return np.asarray(0.5 * noise / max(float(noise.std()), 1e-9))

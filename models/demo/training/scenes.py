"""Procedural clips with captions: a few soft-edged shapes that move over a patterned background.

A clip is drawn from a `Scene` (what is in it) at any size and length, so the same program serves every
resolution. Lengths are fractions of the frame's shorter side and time runs from 0 to 1 over the clip;
pixels only appear in `render`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

SHAPES = {
    "circle": ("circle", "circle", "disc", "ball"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "ring": ("ring", "ring", "hoop"),
    "cross": ("cross", "cross", "plus"),
}
COLOURS = {
    "red": (0.95, 0.15, 0.12),
    "orange": (0.98, 0.53, 0.08),
    "yellow": (0.98, 0.88, 0.12),
    "green": (0.16, 0.86, 0.26),
    "cyan": (0.12, 0.86, 0.92),
    "blue": (0.20, 0.42, 1.00),
    "purple": (0.74, 0.27, 0.96),
    "white": (0.97, 0.97, 0.97),
}
SIZES = {"small": 0.175, "large": 0.25}  # radius
SIZE_WORDS = {"small": ("small", "small", "little"), "large": ("large", "large", "big")}
MOTIONS = {
    "left": ("moving left", "moving left", "moving to the left", "sliding left"),
    "right": ("moving right", "moving right", "moving to the right", "sliding right"),
    "up": ("moving up", "moving up", "rising"),
    "down": ("moving down", "moving down", "falling"),
    "bouncing": ("bouncing", "bouncing", "bouncing up and down"),
    "orbiting": ("orbiting", "orbiting", "circling"),
    "spinning": ("spinning", "spinning", "rotating"),
    "pulsing": ("pulsing", "pulsing", "throbbing"),
    "growing": ("growing", "growing", "getting bigger"),
    "shrinking": ("shrinking", "shrinking", "getting smaller"),
}
BACKGROUNDS = {  # dark enough for every object colour to stand out
    "black": (0.04, 0.04, 0.05),
    "grey": (0.34, 0.34, 0.36),
    "blue": (0.10, 0.17, 0.52),
    "green": (0.06, 0.32, 0.15),
    "red": (0.42, 0.07, 0.09),
    "purple": (0.28, 0.10, 0.40),
    "brown": (0.34, 0.20, 0.09),
}
PATTERNS = ("plain", "gradient", "striped", "checkered", "dotted")
PREPOSITIONS = ("over", "over", "over", "on", "against", "in front of")
TURNED_ALIKE = ("circle", "ring")  # a spin of these cannot be seen
PROMPTS = Path(__file__).parents[1] / "evaluate" / "prompts.json"
TWO = 0.4  # how often there are two objects
HIGHEST = 0.32  # bounce: faster ones come apart, since four frames share one latent frame
EDGE = 1.5  # width in pixels of the blend between an object and what is behind it


@dataclass
class Thing:
    """One object. `x`, `y` in [-1, 1] place it in what room its motion leaves; `phase` in [0, 1)."""

    shape: str
    colour: str
    size: str
    motion: str
    x: float
    y: float
    phase: float
    scale: float


@dataclass
class Scene:
    things: list[Thing]
    background: str
    pattern: str


def _pick(rng: np.random.Generator, words):
    return words[rng.integers(len(words))]


def sample_thing(rng: np.random.Generator, background: str) -> Thing:
    shape = _pick(rng, list(SHAPES))
    colour = _pick(rng, [c for c in COLOURS if c != background])
    motion = _pick(rng, [m for m in MOTIONS if m != "spinning" or shape not in TURNED_ALIKE])
    x, y = rng.uniform(-1, 1, 2)
    return Thing(shape, colour, _pick(rng, list(SIZES)), motion, x, y, rng.uniform(), rng.uniform(0.94, 1.06))


def sample_scene(rng: np.random.Generator, two: float = TWO) -> Scene:
    """A scene to train on: any but those with a combination that is held out."""
    while True:
        scene = draw_scene(rng, two)
        if held_out().isdisjoint(combinations(scene)):
            return scene


def combinations(scene: Scene) -> set[tuple[str, ...]]:
    """Of each object: shape, colour, motion, and the background's colour and pattern."""
    return {(t.shape, t.colour, t.motion, scene.background, scene.pattern) for t in scene.things}


@cache
def held_out() -> frozenset[tuple[str, ...]]:
    """The combinations that only the prompts of the evaluation hold."""
    return frozenset(
        (thing["shape"], thing["colour"], thing["motion"], row["background"], row["pattern"])
        for row in json.loads(PROMPTS.read_text())
        for thing in row["things"]
    )


def draw_scene(rng: np.random.Generator, two: float = TWO) -> Scene:
    """A scene of one object, or with chance `two` of two objects that differ in shape and in colour."""
    background = _pick(rng, list(BACKGROUNDS))
    things = [sample_thing(rng, background)]
    while len(things) < 1 + (rng.uniform() < two):
        other = sample_thing(rng, background)
        if other.shape != things[0].shape and other.colour != things[0].colour:
            things.append(other)
            break
    pattern = "plain" if rng.uniform() < 0.3 else _pick(rng, PATTERNS[1:])
    return Scene(things, background, pattern)


def caption(scene: Scene, rng: np.random.Generator) -> tuple[str, dict[str, str]]:
    """Words for a scene, and what those words say (attributes that were left out are "any" or "none")."""
    said = {"background": scene.background, "pattern": scene.pattern}
    phrases = []
    for i, thing in enumerate(scene.things):
        tell_size = rng.uniform() < 0.6
        words = ["a"]
        if tell_size:
            words.append(_pick(rng, SIZE_WORDS[thing.size]))
        words += [thing.colour, _pick(rng, SHAPES[thing.shape]), _pick(rng, MOTIONS[thing.motion])]
        phrases.append(_with_article(words))
        said |= {
            f"shape{i}": thing.shape,
            f"colour{i}": thing.colour,
            f"size{i}": thing.size if tell_size else "any",
            f"motion{i}": thing.motion,
        }
    if len(phrases) == 1:
        said |= {f"{slot}1": "none" for slot in ("shape", "colour", "size", "motion")}
    tell_pattern = scene.pattern != "plain" or rng.uniform() < 0.25
    colour = "gray" if scene.background == "grey" and rng.uniform() < 0.3 else scene.background
    ground = ["a"] + ([scene.pattern] if tell_pattern else []) + [colour, "background"]
    place = f"{_pick(rng, PREPOSITIONS)} {_with_article(ground)}"
    if len(phrases) == 2 and rng.uniform() < 0.4:
        return f"{phrases[0]} {place}, {phrases[1]}", said
    return f"{' and '.join(phrases)} {place}", said


def _with_article(words: list[str]) -> str:
    if words[1][0] in "aeiou":
        words = ["an"] + words[1:]
    return " ".join(words)


def _path(thing: Thing, lane: tuple[float, float, float, float], shrink: float, t: np.ndarray):
    """Centre (x, y), radius and angle of a thing at the times `t`, in a lane (centre x, y, half extents)."""
    cx, cy, half_w, half_h = lane
    radius = SIZES[thing.size] * thing.scale * shrink
    room_x, room_y = max(half_w - radius - 0.02, 0.05), max(half_h - radius - 0.02, 0.05)
    x = cx + 0.5 * room_x * thing.x + 0 * t
    y = cy + 0.5 * room_y * thing.y + 0 * t
    r, angle = radius + 0 * t, 0 * t
    swing = 2 * t - 1
    if thing.motion == "left":
        x = cx - room_x * swing
    elif thing.motion == "right":
        x = cx + room_x * swing
    elif thing.motion == "up":
        y = cy - room_y * swing
    elif thing.motion == "down":
        y = cy + room_y * swing
    elif thing.motion == "bouncing":
        height = min(1.9 * room_y, HIGHEST)
        y = cy + room_y - height * np.abs(np.sin(np.pi * (t + thing.phase)))
    elif thing.motion == "orbiting":
        turn = 2 * np.pi * (0.45 * t + thing.phase)
        reach = 0.9 * min(room_x, room_y)
        x, y = cx + reach * np.cos(turn), cy + reach * np.sin(turn)
    elif thing.motion == "spinning":
        angle = 2 * np.pi * (0.5 * t + thing.phase)
    elif thing.motion == "pulsing":
        r = radius * (1 + 0.3 * np.sin(2 * np.pi * (1.5 * t + thing.phase)))
    elif thing.motion == "growing":
        r = radius * (0.7 + 0.5 * t)
    elif thing.motion == "shrinking":
        r = radius * (1.2 - 0.5 * t)
    return x, y, r, angle


def _distance(shape: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to the outline of a shape of radius 1, negative inside; y points down."""
    if shape == "circle":
        return np.hypot(x, y) - 0.95
    if shape == "ring":
        return np.abs(np.hypot(x, y) - 0.72) - 0.27
    if shape == "cross":
        far, near = np.maximum(np.abs(x), np.abs(y)), np.minimum(np.abs(x), np.abs(y))
        return np.maximum(far - 0.95, near - 0.32)
    # Stars with n points, folded into one half of a point: the outline is the line from tip to notch.
    n, notch, first = {
        "square": (4, np.cos(np.pi / 4), np.pi / 4),
        "triangle": (3, np.cos(np.pi / 3), -np.pi / 2),
        "star": (5, 0.46, -np.pi / 2),
    }[shape]
    tip, sector = 1.12, np.pi / n
    a = np.abs((np.arctan2(y, x) - first + sector) % (2 * sector) - sector)
    rho = np.hypot(x, y)
    px, py = rho * np.cos(a), rho * np.sin(a)
    bx, by = tip * notch * np.cos(sector), tip * notch * np.sin(sector)
    edge_x, edge_y = bx - tip, by
    return ((px - tip) * edge_y - py * edge_x) / np.hypot(edge_x, edge_y)


def _ground(scene: Scene, x: np.ndarray, y: np.ndarray, pixel: float) -> np.ndarray:
    """The background's RGB [H, W, 3] at the points (x, y); its second tone is a lighter one."""
    dark = np.array(BACKGROUNDS[scene.background], np.float32)
    light = 0.07 + 1.45 * dark
    period = 0.25

    def wave(u):  # a square wave of the given period with edges as soft as an object's
        depth = (0.25 - np.abs(u / period % 1 - 0.5)) * period
        return np.clip(0.5 + depth / (EDGE * pixel), 0, 1)

    if scene.pattern == "gradient":
        mix = 1.3 * y - 0.15
    elif scene.pattern == "striped":
        mix = wave(x)
    elif scene.pattern == "checkered":
        a, b = wave(x), wave(y)
        mix = a + b - 2 * a * b
    elif scene.pattern == "dotted":
        beside = np.hypot((x / period) % 1 - 0.5, (y / period) % 1 - 0.5) * period
        mix = np.clip(0.5 - (beside - 0.07) / (EDGE * pixel), 0, 1)
    else:
        mix = 0 * x
    return dark + (light - dark) * np.clip(mix, 0, 1)[..., None]


def render(
    scene: Scene,
    frames: int = 17,
    height: int = 64,
    width: int = 64,
    window: tuple[int, int, int, int, int, int] | None = None,
) -> np.ndarray:
    """RGB in [0, 1], float32 [F, H, W, 3]. `window` is (t, y, x, frames, height, width): draws only that part."""
    t0, y0, x0, nt, ny, nx = window or (0, 0, 0, frames, height, width)
    side = min(height, width)
    pixel = 1 / side
    ys = ((np.arange(y0, y0 + ny) + 0.5 - height / 2) / side + 0.5).astype(np.float32)
    xs = ((np.arange(x0, x0 + nx) + 0.5 - width / 2) / side + 0.5).astype(np.float32)
    t = (np.arange(t0, t0 + nt) / max(frames - 1, 1)).astype(np.float32)
    gy, gx = np.meshgrid(ys, xs, indexing="ij")
    clip = np.repeat(_ground(scene, gx, gy, pixel)[None], nt, 0)
    if len(scene.things) == 1:
        lanes, shrink = [(0.5, 0.5, 0.5, 0.5)], 1.0
    elif any(thing.motion in ("left", "right") for thing in scene.things):
        lanes, shrink = [(0.5, 0.26, 0.5, 0.27), (0.5, 0.74, 0.5, 0.27)], 0.76
    else:
        lanes, shrink = [(0.26, 0.5, 0.27, 0.5), (0.74, 0.5, 0.27, 0.5)], 0.76
    for thing, lane in zip(scene.things, lanes):
        cx, cy, r, angle = (v.astype(np.float32)[:, None, None] for v in _path(thing, lane, shrink, t))
        dx, dy = (gx - cx) / r, (gy - cy) / r
        cos, sin = np.cos(angle), np.sin(angle)
        depth = -_distance(thing.shape, cos * dx + sin * dy, cos * dy - sin * dx) * r
        cover = np.clip(0.5 + depth / (EDGE * pixel), 0, 1)[..., None]
        clip += cover * (np.array(COLOURS[thing.colour], np.float32) - clip)
    return clip.astype(np.float32)


def vocabulary() -> dict[str, list[str]]:
    """The words that prompts may use, by slot; a motion is a phrase."""

    def every(table):
        return sorted({word for words in table.values() for word in words})

    return {
        "shapes": every(SHAPES),
        "colours": list(COLOURS),
        "sizes": every(SIZE_WORDS),
        "motions": every(MOTIONS),
        "backgrounds": sorted([*BACKGROUNDS, "gray"]),
        "patterns": list(PATTERNS),
    }

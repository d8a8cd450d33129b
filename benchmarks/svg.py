"""Line charts as SVG text, by hand: axes, lines, a legend. Pure; nothing but the standard library is needed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 900, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 250, 34, 52
_INNER_WIDTH, _INNER_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM


@dataclass(frozen=True, slots=True)
class Line:
    """One curve through its points, in the units of the axes. `dashed` is for what others are compared with."""

    title: str
    points: Sequence[tuple[float, float]]
    color: str
    dashed: bool = False
    width: float = 1.6
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`; with `log`, `low` is above 0."""

    title: str
    low: float
    high: float
    log: bool = False
    percent: bool = False

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one; values beyond them are put there."""
        if self.log:
            part = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return min(1.0, max(0.0, part))

    def ticks(self) -> list[float]:
        """Where the axis is labelled: 1, 2, 5 times powers of ten."""
        steps = [m * 10.0**e for e in range(-3, 7) for m in (1, 2, 5)]
        if self.log:
            decades = math.log10(self.high / self.low)
            fine = [step for step in steps if self.low <= step * 1.0001 and step <= self.high * 1.0001]
            return fine if decades < 3.5 else [step for step in fine if str(f"{step:e}").startswith("1")]
        step = next(step for step in steps if (self.high - self.low) / step <= 6)
        first = math.ceil(self.low / step)
        return [step * n for n in range(first, int(self.high / step + 1.0001))]

    def label(self, value: float) -> str:
        return f"{value:.0%}" if self.percent else f"{value:,.6g}"


def chart(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """A whole SVG document: lines are drawn in order, the legend names them in the same."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    parts += _grid(x, y)
    for line in lines:
        parts += _curve(x, y, line)
    parts += _legend(lines)
    return "\n".join([*parts, "</svg>"]) + "\n"


def round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten: where an axis may end."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 5, 10) if value <= m * power * 1.0001)


def round_down(value: float) -> float:
    """The same below."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (5, 2, 1) if value >= m * power * 0.9999)


def _grid(x: Axis, y: Axis) -> list[str]:
    parts = []
    bottom, right = HEIGHT - _BOTTOM, _LEFT + _INNER_WIDTH
    for value in x.ticks():
        at = _x(x, value)
        parts.append(f'<path d="M{at} {_TOP}V{bottom}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{at}" y="{bottom + 17}" text-anchor="middle">{x.label(value)}</text>')
    for value in y.ticks():
        at = _y(y, value)
        parts.append(f'<path d="M{_LEFT} {at}H{right}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{_LEFT - 7}" y="{at + 4}" text-anchor="end">{y.label(value)}</text>')
    parts.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#222"/>')
    middle = _LEFT + _INNER_WIDTH / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x.title)}</text>')
    turned = f"rotate(-90 16 {_TOP + _INNER_HEIGHT / 2})"
    where = f'x="16" y="{_TOP + _INNER_HEIGHT / 2}" text-anchor="middle" transform="{turned}"'
    return [*parts, f"<text {where}>{escape(y.title)}</text>"]


def _curve(x: Axis, y: Axis, line: Line) -> list[str]:
    places = [(_x(x, at), _y(y, value)) for at, value in line.points]
    path = "M" + "L".join(f"{at} {value}" for at, value in places)
    dots = [f'<circle cx="{at}" cy="{value}" r="3" fill="{line.color}"/>' for at, value in places if line.dots]
    return [f'<path d="{path}" fill="none" {_stroke(line)}/>', *dots]


def _legend(lines: Sequence[Line]) -> list[str]:
    parts, left = [], _LEFT + _INNER_WIDTH + 14
    for number, line in enumerate(lines):
        at = _TOP + 8 + 19 * number
        parts.append(f'<path d="M{left} {at}h24" {_stroke(line)}/>')
        parts.append(f'<text x="{left + 31}" y="{at + 4}">{escape(line.title)}</text>')
    return parts


def _stroke(line: Line) -> str:
    dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
    return f'stroke="{line.color}" stroke-width="{line.width:g}" stroke-linejoin="round"{dashes}'


def _x(axis: Axis, value: float) -> float:
    return round(_LEFT + axis.place(value) * _INNER_WIDTH, 1)


def _y(axis: Axis, value: float) -> float:
    return round(HEIGHT - _BOTTOM - axis.place(value) * _INNER_HEIGHT, 1)

"""Reading single numbers out of Prometheus' text format."""

import re

_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def sum_samples(text: str, name: str, **labels: str) -> float:
    """The sum of all samples of metric `name` that carry each of `labels`; 0 if there is none."""
    total = 0.0
    for line in text.splitlines():
        if not line.startswith(name):
            continue
        sample = _SAMPLE.match(line)
        if sample is None or sample["name"] != name:
            continue
        found = dict(_LABEL.findall(sample["labels"] or ""))
        if all(found.get(key) == value for key, value in labels.items()):
            total += float(sample["value"])
    return total

"""What a component counts, path by path and in all, and how it tells that: in Prometheus' text format."""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum


class Ending(StrEnum):
    """How a message left a component."""

    ANSWERED = "answered"
    """As it asked, or was told by the next hop."""
    FAILED = "failed"
    """With an error that is the component's, or comes from beyond it."""
    INVALID = "invalid"
    """With the error that is right for its flaw."""
    REJECTED = "rejected"
    """Turned away without service: because of overload, or an outage."""


class PathMeter:
    """Counts of one message path. Times are sums, in microseconds from the message's arrival."""

    __slots__ = ("answered_us", "ended", "forwarded", "received", "returned", "served", "served_us")

    def __init__(self) -> None:
        self.received = self.served = self.served_us = self.forwarded = self.returned = self.answered_us = 0
        self.ended = dict.fromkeys(Ending, 0)

    def end(self, ending: Ending, taken_us: int) -> None:
        """A message has left, so long after it came."""
        self.ended[ending] += 1
        self.answered_us += taken_us


class Meter:
    """The counts of all paths of a component."""

    def __init__(self, component: str, paths: Iterable[str]) -> None:
        self._component = component
        self.paths = {path: PathMeter() for path in paths}

    def exposition(self, more: Mapping[str, int]) -> str:
        """The totals, `more`, and the paths. What ends in `_total` counts, anything else is a gauge."""
        each = list(self.paths.values())
        received = sum(path.received for path in each)
        ended = {ending: sum(path.ended[ending] for path in each) for ending in Ending}
        totals = {f"messages_{ending}_total": count for ending, count in ended.items()}
        alone = {"messages_received_total": received, **totals, "in_flight": received - sum(ended.values()), **more}
        return "".join(f"{line}\n" for line in (*self._alone(alone), *self._by_path()))

    def _alone(self, values: Mapping[str, int]) -> Iterator[str]:
        for metric, value in values.items():
            yield f"# TYPE plimsoll_{metric} {'counter' if metric.endswith('_total') else 'gauge'}"
            yield self._line(metric, value)

    def _by_path(self) -> Iterator[str]:
        for metric, name in (
            ("path_received_total", "received"),
            ("path_served_total", "served"),
            ("path_served_us_total", "served_us"),
            ("path_forwarded_total", "forwarded"),
            ("path_returned_total", "returned"),
            ("path_ended_us_total", "answered_us"),
        ):
            yield f"# TYPE plimsoll_{metric} counter"
            for path, meter in self.paths.items():
                yield self._line(metric, getattr(meter, name), path=path)
        yield "# TYPE plimsoll_path_ended_total counter"
        for path, meter in self.paths.items():
            for ending, count in meter.ended.items():
                yield self._line("path_ended_total", count, path=path, ending=ending)

    def _line(self, metric: str, value: int, **labels: str) -> str:
        pairs = {"component": self._component, **labels}
        written = ",".join(f'{name}="{_escaped(text)}"' for name, text in pairs.items())
        return f"plimsoll_{metric}{{{written}}} {value}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

"""What the infrastructure and measurements tables say by a metric's name, and in which unit; docs/tables.md lists it.

Metrics that requirements limit are declared in `catalog.declarations.METRICS`.
"""

from enum import StrEnum

from catalog.quantities import Unit


class StageMetric(StrEnum):
    """What is measured of a stage: one component on one message path."""

    RECEIVED = "stage-received"
    HANDOVER = "stage-handover"
    RATE_IN = "stage-rate-in"
    ANSWERED = "stage-answered"
    INVALID = "stage-invalid"
    FAILED = "stage-failed"
    REJECTED = "stage-rejected"
    SUCCESS = "stage-success-share"
    RATE_OUT = "stage-rate-out"
    FORWARDED = "stage-forwarded"
    RETURNED = "stage-returned"
    SERVICE_MEAN = "stage-service-mean"
    TIME_MEAN = "stage-time-mean"


STAGE: dict[StageMetric, tuple[Unit, str]] = {
    StageMetric.RECEIVED: (Unit.COUNT, "messages in"),
    StageMetric.HANDOVER: (
        Unit.COUNT,
        "messages in, less those that the injector or the stage before sent on the path",
    ),
    StageMetric.RATE_IN: (Unit.COUNT, "messages in, in 1,000 s of the load; not of a test of several turns"),
    StageMetric.ANSWERED: (Unit.COUNT, "messages answered as they asked"),
    StageMetric.INVALID: (Unit.COUNT, "messages answered with the error that is right for their flaw"),
    StageMetric.FAILED: (Unit.COUNT, "messages answered with an error, of this component or from beyond it"),
    StageMetric.REJECTED: (Unit.COUNT, "messages turned away without service"),
    StageMetric.SUCCESS: (Unit.PARTS_PER_MILLION, "answered, or refused for a flaw of their own, of all messages in"),
    StageMetric.RATE_OUT: (Unit.COUNT, "messages ended, in 1,000 s of the load; not of a test of several turns"),
    StageMetric.FORWARDED: (Unit.COUNT, "messages sent on to the next hop"),
    StageMetric.RETURNED: (Unit.COUNT, "messages that the next hop answered as they asked"),
    StageMetric.SERVICE_MEAN: (Unit.MICROSECONDS, "mean time from arrival until service here was done"),
    StageMetric.TIME_MEAN: (Unit.MICROSECONDS, "mean time from arrival to the end, what lies beyond included"),
}
"""Unit and meaning of each; rates are whole numbers that tell a thousandth of a message a second."""

INFRASTRUCTURE: dict[str, tuple[str, str]] = {
    "cpu_permille": ("permille", "CPU time used since the sample before, of one core; the host's of all cores"),
    "memory_bytes": ("bytes", "resident memory; the host's in use"),
    "threads_count": ("count", "threads of a process"),
    "handles_count": ("count", "open file descriptors of a process"),
    "connections_count": ("count", "open sockets of a process, a listening one included"),
    "disk_read_bytes_per_second": ("bytes/s", "read from disks since the sample before"),
    "disk_written_bytes_per_second": ("bytes/s", "written to disks since the sample before"),
    "disk_free_bytes": ("bytes", "free on the file system that the workspace is on"),
    "network_received_bytes_per_second": ("bytes/s", "received since the sample before, over all interfaces"),
    "network_sent_bytes_per_second": ("bytes/s", "sent since the sample before, over all interfaces"),
    "messages_received": ("count", "messages in so far, as an emulated component counts them"),
    "messages_answered": ("count", "messages answered so far"),
    "messages_failed": ("count", "messages answered with an error so far"),
    "messages_in_flight": ("count", "messages not ended"),
    "queue_length": ("count", "messages not taken up"),
    "busy_workers": ("count", "messages being served"),
    "leaked_bytes": ("bytes", "what a declared leak holds"),
    "path_received": ("count", "messages in so far; here and below, of the path that is the sub-component"),
    "path_served": ("count", "messages whose service here is done"),
    "path_forwarded": ("count", "messages sent on to the next hop"),
    "path_returned": ("count", "messages that the next hop answered as they asked"),
    "path_answered": ("count", "messages answered as they asked"),
    "path_invalid": ("count", "messages answered with the error that is right for their flaw"),
    "path_failed": ("count", "messages answered with an error"),
    "path_rejected": ("count", "messages turned away without service"),
    "path_served_us": ("us", "time from arrival until service here was done, summed"),
    "path_ended_us": ("us", "time from arrival to the end, summed"),
}
"""Unit and meaning of what is sampled."""

"""Which format a file is in, by its first bytes and by nothing else: a name says what somebody meant."""

from tasks.intake.ab import AbPercentiles, AbRequests
from tasks.intake.cloudwatch import CloudWatchCsv, CloudWatchJson
from tasks.intake.format import Format, Source, SubmittedError, Sure
from tasks.intake.gatling_binary import GatlingBinary
from tasks.intake.gatling_text import GatlingText
from tasks.intake.h2load import H2load
from tasks.intake.hdr import HdrLog, HdrPercentiles
from tasks.intake.hey import Hey
from tasks.intake.jmeter_csv import JMeterCsv
from tasks.intake.jmeter_xml import JMeterXml
from tasks.intake.json_summaries import Artillery, Autocannon, Siege
from tasks.intake.k6_csv import K6Csv
from tasks.intake.k6_json import K6Json
from tasks.intake.k6_summary import K6Summary
from tasks.intake.locust import Locust
from tasks.intake.mapped import Mapped
from tasks.intake.nmon import Nmon
from tasks.intake.prometheus import PrometheusRange, PrometheusText
from tasks.intake.reports import GatlingStatistics, JMeterStatistics, VegetaReport
from tasks.intake.sysstat import SadfDatabase, SadfJson, Sar
from tasks.intake.vegeta import VegetaCsv, VegetaGob, VegetaJson
from tasks.intake.vmstat import Vmstat
from tasks.intake.wrk import Wrk

FORMATS: tuple[Format, ...] = (
    JMeterCsv(),
    JMeterXml(),
    K6Csv(),
    K6Json(),
    K6Summary(),
    GatlingText(),
    GatlingBinary(),
    Locust(),
    VegetaGob(),
    VegetaJson(),
    VegetaCsv(),
    VegetaReport(),
    JMeterStatistics(),
    GatlingStatistics(),
    Wrk(),
    H2load(),
    Hey(),
    AbRequests(),
    AbPercentiles(),
    Autocannon(),
    Siege(),
    Artillery(),
    HdrLog(),
    HdrPercentiles(),
    PrometheusRange(),
    PrometheusText(),
    SadfDatabase(),
    SadfJson(),
    Sar(),
    Vmstat(),
    Nmon(),
    CloudWatchJson(),
    CloudWatchCsv(),
    Mapped(),
)
"""Every format that can be taken in."""


def recognise(source: Source) -> Format:
    """The format that is surest of the file; the declared mapping where its submitter declared columns.

    Raises SubmittedError where none is, or several are equally.
    """
    if source.assumptions.columns:
        return Mapped()
    head = source.head()
    if not head:
        raise SubmittedError(f"{source.name}: an empty file holds no results")
    sure = [(format_.recognises(head), format_) for format_ in FORMATS]
    best = max(found for found, _ in sure)
    named = [format_ for found, format_ in sure if found is best]
    if best is Sure.NO or len(named) > 1:
        why = (
            "no format is known that begins so"
            if best is Sure.NO
            else "several formats begin so: " + ", ".join(each.name for each in named)
        )
        known = ", ".join(each.name for each in FORMATS)
        raise SubmittedError(f"{source.name}: {why}: {head[:60]!r}",
                             remedy=f"Known are {known}; for another, declare `columns` in the manifest.")  # fmt: skip
    return named[0]

"""Write `headroom.json`, the Grafana dashboard, by Grafana's own types.

    python deploy/grafana/build.py

What is shown of the fleet is the same from every replica, hence `max by`; HTTP and process metrics
are each replica's own, hence `sum by`. `$job` is the job of Prometheus' scrape configuration.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement, StackingMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

FILE = Path(__file__).with_name("headroom.json")
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_FLEET = 'job="$job"'
Panel = timeseries.Panel | stat.Panel | table.Panel
Query = tuple[str, str]
"""PromQL, and the legend of its series."""


def build() -> str:
    """The dashboard as JSON."""
    board = (
        dashboard.Dashboard("Headroom")
        .uid("headroom")
        .description("Memory predictions, plans and runs: the service and its workers.")
        .tags(["headroom"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(
            dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus")
        )
        .with_variable(
            dashboard.QueryVariable("job")
            .label("Job")
            .datasource(_SOURCE)
            .query("label_values(headroom_build_info, job)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        )
    )
    ids = itertools.count(1)
    for title, panels in _ROWS:
        board.with_row(dashboard.Row(title).id(next(ids)))
        for panel in panels():
            board.with_panel(panel.id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def _overview() -> Sequence[Panel]:
    workers = f"max by (state) (headroom_workers{{{_FLEET}}})"
    ended = f"rate(headroom_jobs_ended_total{{{_FLEET}}}[$__rate_interval])"
    return (
        _number(
            "Workers online",
            f'sum(max by (state) (headroom_workers{{{_FLEET}, state=~"online|busy"}}))',
            below_is_bad=1,
        ),
        _number("Jobs queued", f"sum({_queue_jobs('queued')})"),
        _number(
            "Oldest queued job",
            f"max(headroom_queue_oldest_job_age_seconds{{{_FLEET}}})",
            unit="s",
            bad=600,
        ),
        _number(
            "Calls that failed",
            f"{_calls(status='5xx')} / {_calls()} or vector(0)",
            unit="percentunit",
            bad=0.01,
        ),
        _chart(
            "Jobs ended per minute",
            [(f"60 * sum by (status) (max by (kind, status) ({ended}))", "{{status}}")],
            unit="short",
            stacked=True,
        ),
        _chart("Workers by state", [(workers, "{{state}}")], stacked=True),
        _chart(
            "Unfinished jobs by queue",
            [
                (_queue_jobs("queued"), "{{queue}} queued"),
                (_queue_jobs("running"), "{{queue}} running"),
            ],
        ),
        _chart(
            "Age of the oldest queued job",
            [
                (
                    f"max by (queue) (headroom_queue_oldest_job_age_seconds{{{_FLEET}}})",
                    "{{queue}}",
                )
            ],
            unit="s",
        ),
    )


def _latency() -> Sequence[Panel]:
    return (
        _chart(
            "Calls: median by route",
            [(_http_quantile(0.5), "{{method}} {{handler}}")],
            unit="s",
            description="A POST waits for its job unless it says Prefer: respond-async.",
        ),
        _chart("Calls: p99 by route", [(_http_quantile(0.99), "{{method}} {{handler}}")], unit="s"),
        _chart("Waiting of jobs", _job_quantiles("headroom_job_queue_seconds"), unit="s"),
        _chart("Execution of jobs", _job_quantiles("headroom_job_execution_seconds"), unit="s"),
    )


def _predictions() -> Sequence[Panel]:
    by = "by (device, model_type)"
    mean = f"max {by} (headroom_recent_prediction_error_mean_ratio{{{_FLEET}}})"
    largest = f"max {by} (headroom_recent_prediction_error_max_ratio{{{_FLEET}}})"
    count = f"max {by} (headroom_recent_measured_runs{{{_FLEET}}})"
    return (
        _chart(
            "Mean error of predicted peak memory",
            [(mean, "{{model_type}} on {{device}}")],
            unit="percentunit",
            description="|predicted - measured| / measured, over runs of the last 7 days.",
        ),
        _table(
            "Predicted against measured, by device and model",
            {"mean error": mean, "largest error": largest, "runs": count},
        ),
    )


def _errors() -> Sequence[Panel]:
    rate = "[$__rate_interval]"
    problems = f"rate(headroom_job_problems_total{{{_FLEET}}}{rate})"
    attempts = f'{{{_FLEET}, outcome!="finished"}}'
    failed = f'{{{_FLEET}, status=~"4xx|5xx"}}'
    return (
        _chart(
            "Calls refused or failed per second",
            [
                (
                    f"sum by (handler, status) (rate(http_requests_total{failed}{rate}))",
                    "{{status}} {{handler}}",
                )
            ],
            unit="reqps",
        ),
        _chart(
            "Problems of jobs per minute",
            [
                (
                    f"60 * sum by (problem) (max by (kind, problem) ({problems}))",
                    "{{problem}}",
                )
            ],
        ),
        _chart(
            "Attempts lost, interrupted or cancelled, within 15 min",
            [
                (
                    "max by (kind, outcome) "
                    f"(increase(headroom_job_attempts_ended_total{attempts}[15m]))",
                    "{{kind}} {{outcome}}",
                )
            ],
        ),
        _chart(
            "Workers up",
            [
                (
                    f"max by (worker, device, device_name) (headroom_worker_up{{{_FLEET}}})",
                    "{{worker}} ({{device}} {{device_name}})",
                )
            ],
        ),
    )


def _resources() -> Sequence[Panel]:
    return (
        _chart(
            "Memory of API processes",
            [(f"process_resident_memory_bytes{{{_FLEET}}}", "{{instance}}")],
            unit="bytes",
        ),
        _chart(
            "CPU of API processes",
            [(f"rate(process_cpu_seconds_total{{{_FLEET}}}[$__rate_interval])", "{{instance}}")],
        ),
        _chart(
            "Size of the database",
            [(f"max(headroom_database_size_bytes{{{_FLEET}}})", "database")],
            unit="bytes",
        ),
        _chart("Database reachable", [(f"headroom_database_up{{{_FLEET}}}", "{{instance}}")]),
    )


_ROWS = (
    ("Overview", _overview),
    ("Latency", _latency),
    ("Prediction against measurement", _predictions),
    ("Errors", _errors),
    ("Resources", _resources),
)


def _queue_jobs(status: str) -> str:
    return f'max by (queue) (headroom_queue_jobs{{{_FLEET}, status="{status}"}})'


def _calls(**labels: str) -> str:
    wanted = "".join(f', {name}="{value}"' for name, value in labels.items())
    selector = f'{_FLEET}, handler!="/readyz"{wanted}'
    return f"sum(rate(http_requests_total{{{selector}}}[$__rate_interval]))"


def _http_quantile(quantile: float) -> str:
    buckets = f"rate(http_request_duration_seconds_bucket{{{_FLEET}}}[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by (handler, method, le) ({buckets}))"


def _job_quantiles(metric: str) -> list[Query]:
    buckets = f"max by (kind, le) (rate({metric}_bucket{{{_FLEET}}}[$__rate_interval]))"
    return [
        (f"histogram_quantile({quantile}, {buckets})", f"{{{{kind}}}} p{quantile * 100:g}")
        for quantile in (0.5, 0.9)
    ]


def _target(expression: str, legend: str, name: str) -> prometheus.Dataquery:
    query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(name)
    return query.datasource(_SOURCE)


def _chart(
    title: str,
    queries: Sequence[Query],
    unit: str = "short",
    stacked: bool = False,
    description: str = "",
) -> timeseries.Panel:
    legend = common.VizLegendOptions().show_legend(True)
    legend = legend.display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = timeseries.Panel().title(title).datasource(_SOURCE).unit(unit).min(0).legend(legend)
    panel.fill_opacity(20 if stacked else 0).line_width(1).span(12).height(8)
    if description:
        panel.description(description)
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for name, (expression, series) in zip("ABCDEF", queries, strict=False):
        panel.with_target(_target(expression, series, name))
    return panel


def _number(
    title: str,
    expression: str,
    unit: str = "short",
    bad: float | None = None,
    below_is_bad: float | None = None,
) -> stat.Panel:
    first = Threshold(value=None, color="red" if below_is_bad is not None else "green")
    steps = [first]
    if below_is_bad is not None:
        steps.append(Threshold(value=below_is_bad, color="green"))
    if bad is not None:
        steps.append(Threshold(value=bad, color="red"))
    thresholds = dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    panel = stat.Panel().title(title).datasource(_SOURCE).unit(unit).thresholds(thresholds)
    return panel.span(6).height(4).with_target(_target(expression, "", "A"))


def _table(title: str, columns: dict[str, str]) -> table.Panel:
    """One line a combination of labels, one column a query."""
    panel = table.Panel().title(title).datasource(_SOURCE).span(12).height(8)
    renamed = {}
    for name, (column, expression) in zip("ABCDEF", columns.items(), strict=False):
        query = _target(expression, column, name).instant().format(PromQueryFormat.TABLE)
        panel.with_target(query)
        renamed[f"Value #{name}"] = column
        unit = "percentunit" if "error" in column else "short"
        panel.override_by_name(column, [DynamicConfigValue(id_val="unit", value=unit)])
    panel.with_transformation(DataTransformerConfig(id_val="merge", options={}))
    options = {"excludeByName": {"Time": True}, "renameByName": renamed}
    return panel.with_transformation(DataTransformerConfig(id_val="organize", options=options))


if __name__ == "__main__":
    FILE.write_text(build(), encoding="utf-8")

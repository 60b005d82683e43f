"""Boards as Grafana reads them, by its own generator. Valid and answered is proved; that they look well is not."""

import json
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from deploy.observability.panel import Board, Panel

SOURCE = "prometheus"
"""The uid of the provisioned data source."""

_HEIGHT = 8
_COLUMNS = 24


def rendered(board: Board) -> str:
    """Give the board's JSON, ready to be provisioned."""
    built = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.purpose)
        .tags(["leap"])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .readonly()
    )
    if board.by_district:
        built = built.with_variable(
            dashboard.QueryVariable("district")
            .label("District")
            .query("label_values(leap_schools_expected, district)")
            .datasource(_source())
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(models.VariableSort.ALPHABETICAL_ASC)
        )
    x = y = 0
    for number, panel in enumerate(board.panels, start=1):
        if x + panel.width > _COLUMNS:
            x, y = 0, y + _HEIGHT
        built = built.with_panel(_built(panel).id(number).grid_pos(models.GridPos(h=_HEIGHT, w=panel.width, x=x, y=y)))
        x += panel.width
    content = json.loads(JSONEncoder(sort_keys=True).encode(built.build()))
    for variable in content.get("templating", {}).get("list", []):
        # The generator gives every variable what only an interval has; Grafana's own types refuse it.
        for name in ("auto", "auto_count", "auto_min"):
            variable.pop(name, None)
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _built(panel: Panel) -> Any:
    made: Any
    if panel.kind == "number":
        made = (
            stat.Panel()
            .color_mode(common_models.BigValueColorMode.VALUE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
    elif panel.kind == "bars":
        made = (
            bargauge.Panel()
            .orientation(common_models.VizOrientation.HORIZONTAL)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
    else:
        made = (
            timeseries.Panel()
            .line_width(2)
            .fill_opacity(5)
            .legend(
                common.VizLegendOptions()
                .display_mode(common_models.LegendDisplayMode.LIST)
                .placement(common_models.LegendPlacement.BOTTOM)
                .show_legend(True)
            )
        )
    made = (
        made.title(panel.question)
        .description(panel.reading)
        .unit(panel.unit)
        .min(0)
        .no_value("nothing yet")
        .datasource(_source())
        .thresholds(_thresholds(panel))
    )
    for number, query in enumerate(panel.queries):
        answer = prometheus.Dataquery().ref_id(chr(ord("A") + number)).expr(query.expr).legend_format(query.legend)
        made = made.with_target(answer if panel.kind == "lines" else answer.instant())
    return made


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    steps = [models.Threshold(color="green", value=None)]
    if panel.well_below is not None:
        steps.append(models.Threshold(color="red", value=panel.well_below))
    elif panel.well_above is not None:
        steps = [models.Threshold(color="red", value=None), models.Threshold(color="green", value=panel.well_above)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _source() -> models.DataSourceRef:
    return models.DataSourceRef(type_val="prometheus", uid=SOURCE)

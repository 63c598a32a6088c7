"""What a dashboard of Grafana may say, as a JSON schema: of the classic model, the parts that ours uses, closed, so
that a misspelt field is found. After the public description of that model (kinds/dashboard/dashboard_kind.cue in
Grafana's sources, "Dashboard JSON model" and the panels' options in its documentation). Grafana itself is not in
Debian: no test here loads the dashboard into one."""
import jsonschema


def record(required, **more):
    """An object with these fields and no others: the first ones must be there. `required`: {name: schema}."""
    return {"type": "object", "properties": {**required, **more}, "required": list(required), "additionalProperties": False}


def one_of(*values):
    return {"enum": list(values)}


def some(schema):
    return {"type": "array", "items": schema}


TEXT, NUMBER, BOOLEAN = {"type": "string", "minLength": 1}, {"type": "number"}, {"type": "boolean"}
ANY_TEXT = {"type": "string"}
WHOLE = {"type": "integer", "minimum": 0}
DURATION = {"type": "string", "pattern": "^[1-9][0-9]*[smhd]$"}
# The data source is the reader's choice, by a variable.
SOURCE = record({"type": one_of("prometheus"), "uid": one_of("${datasource}")})

COLOR = record({"mode": one_of("thresholds", "palette-classic", "palette-saturated", "continuous-GrYlRd", "fixed")}, fixedColor=TEXT)
# The first step is the lowest: its value is null.
THRESHOLDS = record({"mode": one_of("absolute", "percentage"),
                     "steps": {"type": "array", "minItems": 1, "items": record({"color": TEXT, "value": {"type": ["number", "null"]}})}})
CUSTOM = record({"drawStyle": one_of("line", "bars", "points")}, fillOpacity={"type": "integer", "minimum": 0, "maximum": 100},
                lineWidth={"type": "integer", "minimum": 0, "maximum": 10}, showPoints=one_of("auto", "never", "always"),
                stacking=record({"mode": one_of("none", "normal", "percent"), "group": TEXT}))
FIELDS = record({"unit": one_of("cps", "percentunit", "s", "short")}, min=NUMBER, max=NUMBER, thresholds=THRESHOLDS, color=COLOR, custom=CUSTOM)
OVERRIDE = record({"matcher": record({"id": one_of("byName", "byRegexp", "byType"), "options": TEXT}),
                   "properties": some(record({"id": one_of("color"), "value": COLOR}))})

STAT = record({"reduceOptions": record({"calcs": some(one_of("lastNotNull", "last", "mean", "max", "min")), "fields": ANY_TEXT, "values": BOOLEAN})},
              colorMode=one_of("none", "value", "background"), graphMode=one_of("none", "area"),
              textMode=one_of("auto", "value", "value_and_name", "name", "none"))
TIME_SERIES = record({"legend": record({"displayMode": one_of("list", "table", "hidden"), "placement": one_of("bottom", "right")}, showLegend=BOOLEAN),
                      "tooltip": record({"mode": one_of("single", "multi", "none"), "sort": one_of("asc", "desc", "none")})})

TARGET = record({"datasource": SOURCE, "expr": TEXT, "refId": {"type": "string", "pattern": "^[A-Z]$"}}, legendFormat=ANY_TEXT)
GRID = record({"x": {"type": "integer", "minimum": 0, "maximum": 23}, "y": WHOLE, "w": {"type": "integer", "minimum": 1, "maximum": 24},
               "h": {"type": "integer", "minimum": 1}})


def panel(kind, options):
    return record({"id": {"type": "integer", "minimum": 1}, "type": one_of(kind), "title": TEXT, "description": TEXT, "datasource": SOURCE, "gridPos": GRID,
                   "targets": {"type": "array", "minItems": 1, "items": TARGET},
                   "fieldConfig": record({"defaults": FIELDS, "overrides": some(OVERRIDE)}), "options": options})


NAMED = {"name": {"type": "string", "pattern": "^[a-z_]+$"}, "label": TEXT}
SOURCE_VARIABLE = record({**NAMED, "type": one_of("datasource"), "query": one_of("prometheus")}, current={"type": "object"}, hide=one_of(0, 1, 2))
QUERY_VARIABLE = record({**NAMED, "type": one_of("query"), "datasource": SOURCE, "query": record({"query": TEXT, "refId": TEXT}),
                         "refresh": one_of(0, 1, 2)}, includeAll=BOOLEAN, allValue=TEXT, multi=BOOLEAN,
                        current=record({"text": TEXT, "value": TEXT}), sort={"type": "integer", "minimum": 0, "maximum": 8})

SCHEMA = record({"title": TEXT, "uid": {"type": "string", "minLength": 8, "maxLength": 40}, "schemaVersion": {"type": "integer", "minimum": 36},
                 "panels": some({"oneOf": [panel("stat", STAT), panel("timeseries", TIME_SERIES)]}),
                 "templating": record({"list": some({"oneOf": [SOURCE_VARIABLE, QUERY_VARIABLE]})}),
                 "time": record({"from": TEXT, "to": TEXT})},
                tags=some(TEXT), description=TEXT, version=WHOLE, editable=BOOLEAN, refresh=DURATION, timezone=TEXT,
                annotations=record({"list": {"type": "array", "maxItems": 0}}))


def faults(dashboard):
    """Where it differs, as texts; and what no schema can say: panels that overlap, steps out of order."""
    found = ["%s: %s" % ("/".join(map(str, error.absolute_path)), error.message[:300])
             for error in jsonschema.Draft7Validator(SCHEMA).iter_errors(dashboard)]
    if found:
        return found
    taken = {}
    for number, spot in ((panel["id"], panel["gridPos"]) for panel in dashboard["panels"]):
        if spot["x"] + spot["w"] > 24:
            found.append("panel %d is wider than the page" % number)
        for place in ((x, y) for x in range(spot["x"], spot["x"] + spot["w"]) for y in range(spot["y"], spot["y"] + spot["h"])):
            if taken.setdefault(place, number) != number:
                found.append("panel %d lies on panel %d" % (number, taken[place]))
                break
    if len(set(panel["id"] for panel in dashboard["panels"])) != len(dashboard["panels"]):
        found.append("two panels have one id")
    for panel in dashboard["panels"]:
        values = [step["value"] for step in panel["fieldConfig"]["defaults"].get("thresholds", {"steps": [{"value": None}]})["steps"]]
        if values[0] is not None or values[1:] != sorted(values[1:]):
            found.append("panel %d: thresholds out of order" % panel["id"])
        if len({target["refId"] for target in panel["targets"]}) != len(panel["targets"]):
            found.append("panel %d: two queries have one letter" % panel["id"])
    return found

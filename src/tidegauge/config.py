"""Settings: frozen, read once by `load()` from one TOML file and the environment.

Every key has a default that runs on one machine. `TIDEGAUGE_<SECTION>__<KEY>` in the environment
overrides the file: `TIDEGAUGE_REDIS__URL=redis://db:6379/0`; with `_FILE` at its end it names a file
that holds the value. A key that nobody knows stops the start.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec
from msgspec import Meta, Struct

from tidegauge.errors import ConfigError
from tidegauge.redact import is_secret, redacted_options, redacted_url

Positive = Annotated[int, Meta(gt=0)]
Cutoff = Annotated[int, Meta(gt=0, le=1_000)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Seconds = Annotated[int, Meta(ge=0, le=10 * 366 * 86_400)]

CLUSTER = "+cluster"  # in the scheme of a Redis URL that names a node of a Redis Cluster
_REDIS_SCHEMES = frozenset({"redis", "rediss", "unix", f"redis{CLUSTER}", f"rediss{CLUSTER}"})
_REDIS_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of the TOML file."""


def _shown(section: Section, **safe: Any) -> str:
    """Return a section's repr with some fields as given, so that no log or traceback has a secret."""
    fields = {name: getattr(section, name) for name in section.__struct_fields__} | safe
    return f"{type(section).__name__}({', '.join(f'{name}={value!r}' for name, value in fields.items())})"


class Kafka(Section, frozen=True):
    bootstrap_servers: str = "127.0.0.1:9092"
    group: str = "tidegauge"  # prefix of the consumer groups: <group>.join, <group>.monitor
    session_timeout_ms: Positive = 10_000
    buffer_mb: Annotated[int, Meta(ge=1, le=1_024)] = 64  # of messages that one client may hold
    options: dict[str, str | int | float | bool] = {}  # any librdkafka key: security.protocol, ...
    start: Literal["earliest", "latest"] = "earliest"  # where a new group begins

    def __repr__(self) -> str:
        return _shown(self, options=redacted_options(self.options))


class Topics(Section, frozen=True):
    predictions: str = "predictions"
    labels: str = "labels"
    observations: str = "tidegauge.observations"
    deadletter: str = "tidegauge.deadletter"
    control: str = "tidegauge.control"
    alerts: str = "alerts"
    partitions: Positive = 4  # of predictions, labels and observations; the others have one
    observation_partitions: Positive | None = None  # where observations have fewer: less work, and less delay
    replication: Positive = 1


class Redis(Section, frozen=True):
    url: str = "redis://127.0.0.1:6379/0"
    timeout_seconds: Annotated[float, Meta(gt=0)] = 5.0

    def __repr__(self) -> str:
        return _shown(self, url=redacted_url(self.url))


class Limits(Section, frozen=True):
    """What one event may cost, so that a broken producer cannot exhaust memory downstream."""

    message_bytes: Positive = 262_144  # 4 kB of features is usual; 256 kB leaves room for lists
    id_bytes: Positive = 256  # UUIDs take 36; composite keys fit
    features: Positive = 2_000  # wide tabular models have hundreds
    segments: Positive = 16  # fields of `segments` in one event
    classes: Positive = 1_000  # keys of `prediction_proba`
    text_bytes: Positive = 4_096  # a text value in any field
    list_items: Positive = 1_000  # a ranked list or a set of relevant items
    future_seconds: Positive = 600  # clock skew that is still believed
    revisions: Positive = 32  # corrections kept for one label
    models: Positive = 100_000  # model versions one deployment watches
    segment_values: Positive = 200  # values watched for one segment field of one version


class Join(Section, frozen=True):
    horizon_seconds: Positive = 7 * 86_400  # a label further away than this does not match
    lateness_seconds: Positive = 3_600  # how far out of order the topics may be before a purge
    shards: Positive = 16  # fixed once data is there; each is one script call a batch
    buckets: Positive = 4_096  # hashes a shard; aim at 16 to 64 waiting predictions in each
    batch: Positive = 10_000  # events taken at once under load
    linger_ms: Positive = 200  # how long an empty topic is waited for; what comes is taken at once
    gather_ms: Positive = 20  # how long more is waited for where something came; under load it is longer


class Model(Section, frozen=True):
    """What Tidegauge should know of one model; every key can be left out."""

    task: Literal["binary", "multiclass", "regression", "ranking"] | None = None  # inferred
    positive_class: str | None = None  # of binary tasks; else the greater in sort order
    segments: tuple[str, ...] = ()  # fields of `segments` to watch apart
    catalogue_items: Positive | None = None  # that a ranking could show, for its coverage
    baseline: dict[str, float] = {}  # metric to value, from training or validation
    baseline_file: str | None = None  # of `tidegauge baseline fit`; from the directory of the settings
    detectors: tuple[str, ...] = ()  # of river, by name; else drift.detectors
    error: Annotated[str, Meta(pattern=r"^-?kpi\..")] | None = None  # that detectors watch; else the task's
    label_age_seconds: Seconds | None = None  # else drift.label_age_seconds


class Monitor(Section, frozen=True):
    count_windows: tuple[Positive, ...] = (1_000,)  # the last N outcomes
    time_windows: tuple[str, ...] = ("1h", "24h", "7d")  # of event time: number and s, m, h or d
    panes: Positive = 12  # time steps of a window
    confidence: Share = 0.95  # of every interval
    score_bins: Positive = 200  # of probability, for ROC AUC and PR AUC in time windows
    calibration_bins: Positive = 15  # of probability, for ECE
    ranking_k: Annotated[tuple[Cutoff, ...], Meta(min_length=1, max_length=10)] = (5, 10)  # of lists
    catalogue_cells: Annotated[int, Meta(ge=64, le=65_536)] = 4_096  # by which items shown are told apart
    classes: Annotated[int, Meta(ge=2, le=1_000)] = 64  # told apart in a model; the rest are one
    baseline_outcomes: Positive = 1_000  # first outcomes of a version, where none is configured
    inference_outcomes: Positive = 100  # outcomes seen before a model's task is decided
    recent_outcomes: Positive = 100_000  # of a partition, known by identity after Redis lost writes
    snapshot_seconds: Annotated[float, Meta(gt=0)] = 5.0
    publish_seconds: Annotated[float, Meta(gt=0)] = 0.5  # with more models than fit, the oldest first


class Rule(Section, frozen=True):
    """Fires when `metric` over `window` is worse than `baseline * factor` so many times in a row."""

    metric: str
    window: str = "1000"  # a count or a time window of [monitor]
    factor: Annotated[float, Meta(gt=0)] = 0.9  # below 1 for scores, above 1 for errors
    min_samples: Positive = 200
    min_complete: Annotated[float, Meta(ge=0, le=1)] = 0.0  # labels of the time window that must have come
    consecutive: Positive = 3
    every_outcomes: Positive = 100  # an evaluation each so many outcomes of the series
    models: tuple[str, ...] = ()  # empty: all
    baseline: Literal["first", "rolling", "seasonal"] = (
        "first"  # fixed, the time before, or that time of week
    )


class Drift(Section, frozen=True):
    days_per_false_alarm: Annotated[float, Meta(gt=0)] = 30.0  # of a version, by e_sr and e_d_bh together
    guarantee: Literal["run_length", "once"] = "run_length"  # of e_sr on the error
    false_alarm_probability: Share = 0.05  # of a version's error, ever; with guarantee once
    detectors: tuple[str, ...] = ("e_sr",)  # on the error of each series: e_sr, or river's in lower case
    reference_outcomes: Positive = 1_000  # first outcomes of a series, which e_sr learns healthy errors from
    direction: Literal["worse", "both"] = "worse"  # of a change of the error that e_sr looks for
    tolerance: Annotated[float, Meta(ge=0, lt=1)] = (
        0.0  # rise of the error, or of its loss, that e_sr lets be
    )
    label_age_seconds: Seconds = 0  # at which detectors see outcomes, by prediction time; 0: as labels come
    calibration: Literal["e_sr", "none"] = "e_sr"  # what raises alarms where labels break with scores
    separation: Literal["e_sr", "none"] = "e_sr"  # what raises alarms where scores tell classes apart less
    label_delay: Literal["e_sr", "none"] = "none"  # what raises alarms where labels come later, or not at all
    label_grace_seconds: Seconds = 43_200  # a night: how far predictions may be read ahead of their labels
    features: Literal["e_d_bh", "psi", "none"] = "e_d_bh"  # what raises alarms on features and predictions
    multivariate: Annotated[int, Meta(ge=0, le=200)] = 0  # features of a version looked at in pairs; 0: none
    domain_classifier: bool = False  # on the features of `multivariate`
    every_outcomes: Positive = 100  # detectors are judged each so many outcomes of a series
    resolve_after: Positive = 1_000  # outcomes, or rows, without a new change that resolve an alarm
    psi_threshold: Annotated[float, Meta(gt=0)] = 0.2
    bins: Annotated[int, Meta(ge=2, le=200)] = 10  # quantile bins of a numeric feature
    reference_rows: Positive = 5_000  # first rows of a version that freeze the bins
    min_samples: Positive = 500  # rows in the window before PSI is judged
    window: str = "24h"
    consecutive: Positive = 3
    max_categories: Positive = 100  # the rest is counted together
    baseline: Literal["first", "rolling", "seasonal"] = "first"  # of PSI and the measures beside it
    attribution: Literal["segments", "features", "none"] = "segments"  # by which a rise of the error is split
    attribution_outcomes: Annotated[int, Meta(ge=100)] = 1_000  # first ones, and last ones, that are compared


class Estimates(Section, frozen=True):
    """Metrics before labels come, from scores and from the labels that came."""

    enabled: bool = True
    min_outcomes: Positive = 500  # labels of a version before anything is estimated
    reference_outcomes: Positive = 5_000  # first labels: they fade to a half as `live_outcomes` more come
    live_outcomes: Positive = 50_000  # the last so many labels, up to twice as many, are the rest
    mature_share: Share = 0.95  # labels of an hour's predictions that must be there to judge its estimate
    cells: Annotated[int, Meta(ge=0)] = 0  # of a version's linear model of features, such as 400; 0 for none
    cohorts: Positive = 48  # last hours judged, over which the estimator's own error stands


class Web(Section, frozen=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535)] = 6_066
    allow_remote: bool = False  # whether `host` may be more than loopback: the pages ask for no password


DEFAULT_RULES = (
    Rule(metric="accuracy"),
    Rule(metric="f1"),
    Rule(metric="mae", factor=1.1),
)


class Settings(Section, frozen=True):
    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    redis: Redis = Redis()
    limits: Limits = Limits()
    join: Join = Join()
    monitor: Monitor = Monitor()
    drift: Drift = Drift()
    estimates: Estimates = Estimates()
    web: Web = Web()
    models: dict[str, Model] = {}
    rules: tuple[Rule, ...] = DEFAULT_RULES

    def model(self, model_id: str) -> Model:
        """Return what is configured for a model, or the defaults."""
        return self.models.get(model_id, _UNCONFIGURED)


_UNCONFIGURED = Model()


def duration_ms(text: str) -> int:
    """Return the milliseconds of a duration such as `90s`, `5m`, `24h` or `7d`.

    >>> duration_ms("24h")
    86400000
    """
    unit = _UNITS_MS.get(text[-1:])
    number = text[:-1]
    if unit is None or not number.isdecimal() or int(number) == 0:
        raise ConfigError(f"expected a duration such as 90s, 5m, 24h or 7d, got {text!r}")
    return int(number) * unit


def load(path: Path | None = None, environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of the TOML file at `path` (defaults without one) under the environment.

    Raises ConfigError naming the key, what was expected and what came.
    """
    tree = _read(path) if path else {}
    for name, text in sorted(environment.items()):
        _override(tree, name, text)
    _place_files(tree, path)
    where = path or "environment"
    if unknown := unknown_keys(tree):
        raise ConfigError(f"{where}: " + "; ".join(unknown))
    try:
        settings = msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error
    _check(settings)
    return settings


def unknown_keys(tree: Mapping[str, Any]) -> list[str]:
    """Return a line for each key that no setting has, with the nearest that one has.

    >>> unknown_keys({"redis": {"ulr": "redis://db"}})
    ['redis.ulr: no such key; did you mean redis.url?']
    """
    return list(_unknown(tree, msgspec.inspect.type_info(Settings), ""))


def _unknown(value: Any, expected: msgspec.inspect.Type, path: str) -> Iterator[str]:
    if isinstance(expected, msgspec.inspect.StructType) and isinstance(value, Mapping):
        fields = {field.name: field.type for field in expected.fields}
        for key, item in value.items():
            if key in fields:
                yield from _unknown(item, fields[key], f"{path}{key}.")
            else:
                yield f"{path}{key}: no such key; {_nearest(key, list(fields), path)}"
    elif isinstance(expected, msgspec.inspect.DictType) and isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unknown(item, expected.value_type, f"{path}{key}.")
    elif isinstance(expected, msgspec.inspect.VarTupleType) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown(item, expected.item_type, f"{path[:-1]}[{index}].")


def _nearest(key: str, known: list[str], path: str) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {path}{near[0]}?" if near else f"expected one of {', '.join(known)}"


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error


def _place_files(tree: dict[str, Any], path: Path | None) -> None:
    """Let the baseline files that a file of settings names lie beside it."""
    models = tree.get("models")
    for model in models.values() if path and isinstance(models, dict) else ():
        if path and isinstance(model, dict) and isinstance(model.get("baseline_file"), str):
            model["baseline_file"] = str(path.parent / model["baseline_file"])


def _override(tree: dict[str, Any], name: str, text: str) -> None:
    prefix, _, rest = name.partition("_")
    section, *keys = rest.lower().split("__")
    if prefix != "TIDEGAUGE":
        return
    if not keys:
        _check_name(name, section)
        return
    value: Any = text if is_secret(name) else _toml_value(text)  # a password may look like a number
    if name.endswith("_FILE") and keys[-1] != "baseline_file":  # which is a key itself
        keys[-1] = keys[-1].removesuffix("_file")
        value = _secret(name, Path(text))
    if (section, keys[0]) == ("kafka", "options") and len(keys) == 2:
        keys[1] = librdkafka_name(keys[1])
    _put(tree, [section, *keys], value, name)


def librdkafka_name(name: str) -> str:
    """Return librdkafka's name of an option from one that may have no dots, as in Python or a shell.

    >>> librdkafka_name("sasl_password"), librdkafka_name("log_level")
    ('sasl.password', 'log_level')
    """
    return name if name == "log_level" or name.endswith("_cb") else name.replace("_", ".")


def _put(tree: dict[str, Any], keys: list[str], value: Any, name: str) -> None:
    for index, key in enumerate(keys[:-1]):
        tree = tree.setdefault(key, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{name}: {'.'.join(keys[: index + 1])} is not a table")
    tree[keys[-1]] = value


def _check_name(name: str, rest: str) -> None:
    """Raise ConfigError for `TIDEGAUGE_REDIS_URL`: it would be ignored and look as if it were not."""
    for section in Settings.__struct_fields__:
        if rest.startswith(f"{section}_"):
            wanted = f"TIDEGAUGE_{section}__{rest.removeprefix(section + '_')}".upper()
            raise ConfigError(f"{name}: expected two underscores after the section: {wanted}")


def _secret(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {path} cannot be read: {error}") from error


def _toml_value(text: str) -> Any:
    """Return the TOML value of `text`, or the text itself where it is none (a URL, a name)."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _check(settings: Settings) -> None:
    """Raise ConfigError where keys that are right alone do not fit together, or say what must not be."""
    check_redis_url(settings.redis.url, "redis.url")
    if not settings.web.allow_remote and not _is_loopback(settings.web.host):
        raise ConfigError(
            f"web.host: expected a loopback address such as 127.0.0.1, got {settings.web.host!r}; "
            "web.allow_remote = true lets everybody in who can reach it"
        )
    for index, window in enumerate(settings.monitor.time_windows):
        try:
            duration_ms(window)
        except ConfigError as error:
            raise ConfigError(f"monitor.time_windows[{index}]: {error}") from error
    windows = [str(n) for n in settings.monitor.count_windows] + list(settings.monitor.time_windows)
    wanted = [(f"rules[{i}].window", rule.window) for i, rule in enumerate(settings.rules)]
    for key, window in [*wanted, ("drift.window", settings.drift.window)]:
        if window not in windows:
            raise ConfigError(f"{key}: expected one of {', '.join(windows)}, got {window!r}")
    duration_ms(settings.drift.window)
    for index, rule in enumerate(settings.rules):
        if rule.min_complete and rule.window not in settings.monitor.time_windows:
            raise ConfigError(
                f"rules[{index}].min_complete: expected 0 for a window of the last {rule.window} outcomes: "
                "all of them have labels"
            )


def check_redis_url(url: str, key: str) -> None:
    """Raise ConfigError for a URL that cannot be one, without showing what could be a password."""
    try:
        parts = urlsplit(url)
        right = parts.scheme in _REDIS_SCHEMES and parts.port != 0
    except ValueError:
        right = False
    if not right or "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ConfigError(
            f"{key}: expected redis://, rediss://, unix:// or redis+cluster://, then "
            "user:password@host:port/database with what is not a letter or digit in the password "
            "percent-encoded; what came is not shown"
        )
    for name, value in parse_qsl(parts.query):
        if name in _REDIS_FILES and not Path(value).is_file():
            raise ConfigError(f"{key}: {name}: expected a file, got {value!r}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""`tidegauge simulate`: synthetic models whose labels come late, to try a deployment with."""

from __future__ import annotations

import argparse
import json
import time
from typing import TYPE_CHECKING, Any

from tidegauge.cli import options
from tidegauge.cli.exits import Exit

if TYPE_CHECKING:
    from tidegauge.config import Settings
    from tidegauge.simulate.synthetic import Spec, Task

TASKS: tuple[Task, ...] = ("binary", "multiclass", "regression")
# Shares of tidegauge.simulate.mischief; `quick` leaves out what comes minutes or days after its event.
_LATER = (
    "duplicate_predictions",
    "duplicate_labels",
    "corrections",
    "stale",
    "beyond_horizon",
    "label_first",
)
MISCHIEF: dict[str, dict[str, float]] = {
    "none": dict.fromkeys((*_LATER, "missing", "orphans", "broken"), 0.0),
    "quick": dict.fromkeys(_LATER, 0.0),
    "all": {},
}


def add(commands: options.Commands) -> None:
    """Add the command."""
    parser = options.command(
        commands, "simulate", "send predictions and late labels of synthetic models", epilog=_EPILOG
    )
    number: dict[str, Any] = {"type": float, "metavar": "N"}
    whole: dict[str, Any] = {"type": int, "metavar": "N"}
    parser.add_argument("--seconds", default=60.0, help="how long, in event time (60)", **number)
    parser.add_argument("--rate", default=100.0, help="predictions a second, over all models (100)", **number)
    parser.add_argument("--models", default=3, help="how many models (3)", **whole)
    parser.add_argument(
        "--task", action="append", choices=TASKS, help="of the models in turn; repeat it (one of each)"
    )
    parser.add_argument("--label-delay", default=5.0, help="median seconds until a label comes (5)", **number)
    parser.add_argument("--drift-after", help="seconds until data and concept drift (never)", **number)
    parser.add_argument(
        "--seed", help="the same seed gives the same ids and values (new ones each time)", **whole
    )
    parser.add_argument("--fast", action="store_true", help="all at once, with times that end now")
    parser.add_argument(
        "--mischief",
        choices=tuple(MISCHIEF),
        help="defects: none, quick (missing, orphaned, broken), or all of them (quick; all with --fast)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.set_defaults(run=run)


_EPILOG = "Corrections, repetitions and labels beyond the horizon come minutes to days after their event."


def run(arguments: argparse.Namespace) -> int:
    """Send the events, in their own time or at once."""
    from tidegauge.simulate.run import send

    settings = options.settings(arguments)
    spec = specification(arguments, settings, int(time.time() * 1_000))
    with _Shown(spec, quiet=arguments.json) as shown:
        try:
            send(settings, spec, realtime=not arguments.fast, on_sent=shown.update)
        except KeyboardInterrupt:
            code = Exit.INTERRUPTED
        else:
            code = Exit.OK
    print(json.dumps({"sent": shown.sent}) if arguments.json else f"{shown.sent:,} events sent")
    return code


def specification(arguments: argparse.Namespace, settings: Settings, now_ms: int) -> Spec:
    """Return what the flags ask for; in its own time it begins now, at once it ends now."""
    from tidegauge.errors import ConfigError
    from tidegauge.simulate.mischief import Mischief
    from tidegauge.simulate.synthetic import Spec

    for name in ("seconds", "rate", "models", "label_delay"):
        if getattr(arguments, name) <= 0:
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag}: expected a number above 0, got {getattr(arguments, name):g}")
    kind = arguments.mischief or ("all" if arguments.fast else "quick")
    return Spec(
        start_ms=now_ms - int(arguments.seconds * 1_000) if arguments.fast else now_ms,
        duration_seconds=arguments.seconds,
        rate=arguments.rate,
        models=arguments.models,
        tasks=tuple(arguments.task or TASKS),
        label_delay_seconds=arguments.label_delay,
        drift_after_seconds=arguments.drift_after,
        horizon_seconds=settings.join.horizon_seconds,
        mischief=Mischief(**MISCHIEF[kind]),
        seed=now_ms if arguments.seed is None else arguments.seed,
    )


class _Shown:
    """A progress bar of event time on stderr, and how many events were sent."""

    def __init__(self, spec: Spec, quiet: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self.sent = 0
        self._spec = spec
        console = Console(stderr=True)
        text = "[progress.description]{task.description}"
        columns = (TextColumn(text), BarColumn(), TimeElapsedColumn())
        disable = quiet or not console.is_terminal
        self._progress = Progress(*columns, console=console, disable=disable)
        self._task = self._progress.add_task("0 events", total=spec.duration_seconds)

    def update(self, sent: int, at_ms: int) -> None:
        """Show that so many events were sent, the last at that event time."""
        self.sent = sent
        seconds = (at_ms - self._spec.start_ms) / 1_000
        tail = ", waiting for the last labels" if seconds > self._spec.duration_seconds else ""
        done = min(seconds, self._spec.duration_seconds)
        self._progress.update(self._task, completed=done, description=f"{sent:,} events{tail}")

    def __enter__(self) -> _Shown:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

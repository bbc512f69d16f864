"""A worker whose monitor has a defect: `python -m tests.integration.defective_worker`."""

from __future__ import annotations

from tidegauge import app
from tidegauge.adapters.redis_state import RedisState
from tidegauge.config import load
from tidegauge.ports import Patience
from tidegauge.stages.runner import Stage


class Defective:
    """A stage whose first step raises what nobody expects."""

    def step(self) -> int:
        raise ValueError("a defect of the test")

    def ready(self) -> bool:
        return True

    def close(self, failed: bool) -> None:
        assert failed


def main() -> int:
    settings = load(None)

    def defective(_: Patience) -> Stage:
        return Defective()

    builders = app.stage_builders(settings, RedisState(settings.redis))
    return app.run(settings, frozenset(app.ROLES), {**builders, "monitor": defective})


if __name__ == "__main__":
    raise SystemExit(main())

"""The live process: ``python -m serving.live.process``, a child of ``bearmode serve``.

It ends on SIGTERM, and by itself when its parent is gone.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from types import FrameType

import pandas as pd

from features.errors import BearmodeError
from features.source_setting import source_url
from features.store import Store
from features.store_setting import store_setting
from serving.live.deliveries import Deliveries
from serving.live.event_log import EventLog
from serving.live.feed_process import FeedProcess
from serving.live.feeds import FeedJob
from serving.live.schedule import wall_clock
from serving.live.settings import LiveSettings, secret_of
from serving.live.watcher import Watcher
from serving.live.webhooks import WebhookSender
from serving.loading import open_live_model
from serving.predictor import Predictor
from serving.settings import ServingSettings
from serving.watching.logs import configure_logs

__all__ = ["main", "run"]

STEP_SECONDS = 0.25
URLS = {"exchange": "exchange_url", "archive": "archive_url"}

logger = logging.getLogger("bearmode.live")


def main() -> int:
    """Run until told to stop; 0 then, 1 if it could not start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log the addresses of webhooks
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        serving = ServingSettings.load()
        configure_logs(serving.log_format)
        run(LiveSettings.load(), serving, stopping)
    except BearmodeError as error:
        logger.error("%s", error.one_line())  # noqa: TRY400 - a message for people
        return error.exit_code
    return 0


def run(settings: LiveSettings, serving: ServingSettings, stopping: threading.Event) -> None:
    """Watch until ``stopping`` is set or the parent is gone.

    Raises
    ------
    BearmodeError
        If settings or state make no sense.
    """
    parent = os.getppid()
    secrets = {hook.name: secret_of(hook) for hook in settings.webhooks}
    url = source_url(URLS[settings.source]) if settings.source in URLS else None  # type: ignore[arg-type]
    log = EventLog(settings.state, settings.keep_events, settings.webhooks)
    queue = Deliveries(settings.state)
    began = (
        None if settings.simulated_from is None else pd.Timestamp(settings.simulated_from).tz_convert("UTC")
    )
    sender = WebhookSender(settings, secrets)
    watcher = Watcher(
        settings,
        Store(store_setting()),
        open_live_model(serving, Predictor.load),
        log,
        lambda job: _started(job, settings),
        now=wall_clock(began, settings.simulated_speed),
        url=url,
        reload_seconds=serving.reload_seconds,
        about_webhooks=lambda: queue.summary(settings.webhooks),
    )
    logger.info("watching %s by source %s", ", ".join(settings.symbols), settings.source)
    sender.start()
    try:
        while not stopping.is_set() and os.getppid() == parent:
            watcher.step()
            stopping.wait(STEP_SECONDS)
    finally:
        watcher.end()
        sender.stop()
        queue.close()
        log.close()


def _started(job: FeedJob, settings: LiveSettings) -> FeedProcess:
    return FeedProcess(job, settings.update_seconds)


if __name__ == "__main__":
    sys.exit(main())

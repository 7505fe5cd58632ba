"""Sending deliveries: each webhook by itself, so that a slow receiver holds up no other.

At least once: a delivery is done only when its receiver has answered 2xx and that is written down. A
kill between the two repeats it, with the same id.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping

import httpx

from features.errors import BearmodeError
from serving.live.deliveries import Deliveries, Delivery, retry_wait
from serving.live.settings import LiveSettings, Webhook
from serving.live.signature import signed_headers

__all__ = ["WebhookSender"]

POLL_SECONDS = 0.5
BROKEN_SECONDS = 5.0

logger = logging.getLogger("bearmode.live")


class WebhookSender:
    """Delivers what is in the queue, in a thread of its own.

    Parameters
    ----------
    settings : LiveSettings
    secrets : mapping of str to bytes
        By the webhook's name.
    clock : callable
        Unix seconds.
    """

    def __init__(
        self,
        settings: LiveSettings,
        secrets: Mapping[str, bytes],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._secrets, self._clock = settings, secrets, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin to deliver."""
        self._thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        """End; what is not delivered stays in the queue."""
        self._stop.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        asyncio.run(self._deliver_all())

    async def _deliver_all(self) -> None:
        tasks = [asyncio.create_task(self._serve(hook)) for hook in self._settings.webhooks]
        while not self._stop.is_set():
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, hook: Webhook) -> None:
        """Deliver to one webhook, as long as the process lives."""
        while True:
            try:
                await self.deliver_due(hook)
                await asyncio.sleep(POLL_SECONDS)
            except BearmodeError as error:
                logger.warning("webhook %s: %s", hook.name, error.one_line())
                await asyncio.sleep(BROKEN_SECONDS)
            except Exception:
                logger.exception("webhook %s", hook.name)
                await asyncio.sleep(BROKEN_SECONDS)

    async def deliver_due(self, hook: Webhook) -> int:
        """Attempt what is due for a webhook; gives how many attempts were made."""
        queue = Deliveries(self._settings.state)
        try:
            due = queue.due(hook.name, self._clock())
            if due:
                # A proxy of the environment is not asked for what is on this machine.
                async with httpx.AsyncClient(
                    follow_redirects=False, trust_env=not hook.is_loopback
                ) as client:
                    for delivery in due:
                        await self._attempt(client, hook, delivery, queue)
            return len(due)
        finally:
            queue.close()

    async def _attempt(
        self, client: httpx.AsyncClient, hook: Webhook, delivery: Delivery, queue: Deliveries
    ) -> None:
        status, problem = None, None
        try:
            async with asyncio.timeout(self._settings.webhook_seconds):
                status = await self._post(client, hook, delivery)
        except TimeoutError:
            problem = f"no answer within {self._settings.webhook_seconds:g} s"
        except httpx.HTTPError as error:
            # Words of the library hold the address, which may hold a token.
            problem = type(error).__name__
        now = self._clock()
        if status is not None and 200 <= status < 300:
            queue.delivered(delivery, status, now)
            return
        made = delivery.attempts + 1
        over = made >= self._settings.webhook_attempts
        wait = retry_wait(self._settings.webhook_retry_seconds, made, random.random())  # noqa: S311
        words = problem or f"it answered {status}"
        queue.failed(delivery, now, None if over else now + wait, status, words)
        then = "given up" if over else f"again in {wait:.0f} s"
        logger.warning("webhook %s: %s of %s: %s", hook.name, delivery.id, words, then)

    async def _post(self, client: httpx.AsyncClient, hook: Webhook, delivery: Delivery) -> int:
        body = delivery.body.encode()
        headers = signed_headers(self._secrets[hook.name], delivery.id, int(self._clock()), body)
        headers |= {"content-type": "application/json", "user-agent": "bearmode"}
        # The answer's body is not read: it may be endless.
        async with client.stream("POST", hook.url, content=body, headers=headers, timeout=None) as answer:
            return answer.status_code

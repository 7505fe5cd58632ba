"""freqtrade strategy whose side, leverage and stake are those that bearmode advises.

The entry signal (a crossing of moving averages) is an example and earns nothing by itself: put your
own into `populate_entry_trend`. What this file is about: `leverage`, `custom_stake_amount` and
`confirm_trade_entry` ask the endpoint once a candle, send closed candles only, and without a usable
answer - service down or late, an error, a window that is too short, a model that is not fresh, an
answer that is degraded in a way you have not tolerated - it is leverage 1 and no entry.

Settings in freqtrade's configuration, all optional:

    "bearmode": {"url": "http://127.0.0.1:3000", "timeout": 3.0, "leverage_cap": 3.0,
                 "tolerated": ["open_interest_missing"]}

An API key is read from the environment variable BEARMODE_API_KEY. Information, not financial advice.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pandas as pd
from freqtrade.strategy import IStrategy

logger = logging.getLogger(__name__)

COLUMNS = ("open", "high", "low", "close", "volume")
NOT_SENT = (
    # freqtrade has no open interest in USD to send; the advice is cut for it already.
    "open_interest_missing",
    "open_interest_features_incomplete",
    # Not a defect: the decision holds on to a regime until another is clearly likelier.
    "regime_lags",
)


class UnusableError(Exception):
    """Why there is no advice for this candle."""


class UnreachableError(UnusableError):
    """Nobody answered; worth another try before the candle is over."""


class BearmodeStrategy(IStrategy):
    """Moving averages propose, bearmode disposes."""

    INTERFACE_VERSION = 3
    can_short = True
    timeframe = "1h"  # has to be the model's interval
    process_only_new_candles = True
    # As many as freqtrade may ask of Binance in five calls; the rest of the window comes from its stored
    # data: freqtrade download-data --timeframes 1h --days 180
    startup_candle_count = 2400
    minimal_roi = {"0": 10.0}
    stoploss = -0.25

    url = "http://127.0.0.1:3000"
    timeout = 3.0
    leverage_cap = 5.0
    tolerated: frozenset[str] = frozenset(NOT_SENT)
    retry_seconds = 30.0  # after a failure; a service that hangs must not hold up the bot at each pair
    model_seconds = 600.0  # how long the window's length is believed

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        given = dict(config.get("bearmode", {}))
        self.url = str(given.pop("url", self.url)).rstrip("/")
        self.timeout = float(given.pop("timeout", self.timeout))
        self.leverage_cap = float(given.pop("leverage_cap", self.leverage_cap))
        self.tolerated = frozenset(given.pop("tolerated", ())) | self.tolerated
        if given:
            raise ValueError(f"bearmode: unknown settings {sorted(given)}")
        key = os.environ.get("BEARMODE_API_KEY")
        self._headers = {"X-API-Key": key} if key else {}
        self._bars: dict[str, pd.DataFrame] = {}
        self._advice: dict[str, tuple[pd.Timestamp, dict[str, Any] | str]] = {}
        self._model: tuple[float, dict[str, Any]] | None = None
        self._silent_until = 0.0

    # --- what freqtrade asks -----------------------------------------------------------------------

    def populate_indicators(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """The example's moving averages."""
        dataframe["fast"] = dataframe["close"].ewm(span=20 * 24, min_periods=20 * 24).mean()
        dataframe["slow"] = dataframe["close"].ewm(span=60 * 24, min_periods=60 * 24).mean()
        return dataframe

    def populate_entry_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """Propose a side at a crossing; whether it is taken is decided in `confirm_trade_entry`."""
        above = dataframe["fast"] > dataframe["slow"]
        known = dataframe["slow"].notna()
        dataframe.loc[known & above & ~above.shift(1, fill_value=True), "enter_long"] = 1
        dataframe.loc[known & ~above & above.shift(1, fill_value=False), "enter_short"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: pd.DataFrame, metadata: dict[str, Any]) -> pd.DataFrame:
        """Leave at the opposite crossing."""
        above = dataframe["fast"] > dataframe["slow"]
        dataframe.loc[~above & above.shift(1, fill_value=False), "exit_long"] = 1
        dataframe.loc[above & ~above.shift(1, fill_value=True), "exit_short"] = 1
        return dataframe

    def informative_pairs(self) -> list[tuple[str, str, str]]:
        """Ask freqtrade to keep funding rates beside the candles."""
        pairs = self.dp.current_whitelist() if self.dp else []
        return [(pair, self.timeframe, "funding_rate") for pair in pairs]

    def leverage(
        self,
        pair: str,
        current_time: datetime,
        current_rate: float,
        proposed_leverage: float,
        max_leverage: float,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> float:
        """Advised leverage of the side, at least 1 and never above the cap; 1 without an answer."""
        advised = self.advised_leverage(pair, current_time, side)
        return max(1.0, min(advised, self.leverage_cap, max_leverage)) if advised else 1.0

    def custom_stake_amount(
        self,
        pair: str,
        current_time: datetime,
        current_rate: float,
        proposed_stake: float,
        min_stake: float | None,
        max_stake: float,
        leverage: float,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> float:
        """Proposed stake times the advised size; an advised leverage below 1 holds margin back; else 0."""
        advised = self.advised_leverage(pair, current_time, side)
        answer = self.answer(pair, current_time)
        if not advised or isinstance(answer, str):
            return 0.0
        stake = proposed_stake * float(answer["advice"]["size_factor"]) * min(1.0, advised)
        return 0.0 if min_stake is not None and stake < min_stake else min(stake, max_stake)

    def confirm_trade_entry(
        self,
        pair: str,
        order_type: str,
        amount: float,
        rate: float,
        time_in_force: str,
        current_time: datetime,
        entry_tag: str | None,
        side: str,
        **kwargs: Any,
    ) -> bool:
        """Whether the advice leans to this side. No answer: no entry."""
        answer = self.answer(pair, current_time)
        if isinstance(answer, str):
            logger.warning("%s: no %s entry, as there is no advice: %s", pair, side, answer)
            return False
        advice = answer["advice"]
        agreed = bool(advice["side"] == side and self.advised_leverage(pair, current_time, side) > 0)
        logger.info("%s: %s, %s advised, %s entry %s", pair, answer["regime"], advice["side"], side, agreed)
        return agreed

    # --- what bearmode answers ---------------------------------------------------------------------

    def advised_leverage(self, pair: str, current_time: datetime, side: str) -> float:
        """Leverage that the answer gives this side; 0 without a usable answer."""
        answer = self.answer(pair, current_time)
        return 0.0 if isinstance(answer, str) else float(answer["advice"][f"leverage_{side}"])

    def answer(self, pair: str, current_time: datetime) -> dict[str, Any] | str:
        """The answer for the newest closed candle, asked for once; or the reason why there is none."""
        now = pd.Timestamp(current_time)
        try:
            bars = self.closed_candles(pair, now)
            last = bars["time"].iloc[-1]
            kept = self._advice.get(pair)
            if kept is None or kept[0] != last:
                kept = (last, self._ask(pair, bars, now))
                self._advice[pair] = kept
            if not isinstance(kept[1], str):
                self._check(kept[1], now)
            return kept[1]
        except UnusableError as reason:
            return str(reason)

    def closed_candles(self, pair: str, now: pd.Timestamp) -> pd.DataFrame:
        """Candles that had closed by now, oldest first; column `time` is the close.

        Stored and live candles are joined and remembered, so that the window may be longer than what
        the exchange hands out.
        """
        interval = pd.Timedelta(self.timeframe)
        parts = [self.dp.get_pair_dataframe(pair, self.timeframe)]
        if pair not in self._bars:
            parts.insert(0, self.dp.historic_ohlcv(pair, self.timeframe))
        else:
            parts.insert(0, self._bars[pair])
        joined = pd.concat([part for part in parts if len(part)] or parts[:1])
        if not len(joined):
            raise UnusableError("there are no candles")
        joined = joined.drop_duplicates("date", keep="last").sort_values("date")
        closed = joined[joined["date"] + interval <= now]
        if not len(closed) or now - (closed["date"].iloc[-1] + interval) >= interval:
            raise UnusableError("the newest closed candle is missing")
        self._bars[pair] = closed[["date", *COLUMNS]].tail(10_000)
        return closed.assign(time=closed["date"] + interval)

    def _ask(self, pair: str, bars: pd.DataFrame, now: pd.Timestamp) -> dict[str, Any] | str:
        """Send the window; gives the answer, or why asking again for this candle is of no use.

        Raises
        ------
        UnreachableError
            Nobody answered now or a moment ago.
        """
        if time.monotonic() < self._silent_until:
            raise UnreachableError(f"{self.url} did not answer a moment ago")
        model = self._described_model()
        if model["interval"] != self.timeframe:
            return f"the model reads {model['interval']} candles, the strategy {self.timeframe}"
        wanted = int(model["window_bars"])
        window = bars.tail(wanted)
        if len(window) < wanted:
            days = int(wanted * pd.Timedelta(self.timeframe) / pd.Timedelta(days=1)) + 15
            return (
                f"{len(window)} candles, the model wants {wanted}: "
                f"freqtrade download-data --timeframes {self.timeframe} --days {days}, then start again"
            )
        body = {
            "symbol": pair.split(":", maxsplit=1)[0].replace("/", ""),
            "interval": self.timeframe,
            "as_of": int(now.timestamp() * 1000),
            "time": [int(moment.timestamp() * 1000) for moment in window["time"]],
            **{name: [None if np.isnan(v) else float(v) for v in window[name]] for name in COLUMNS},
            **self._funding(pair, window["time"], now),
        }
        try:
            return self._call("POST", "/v1/predict", json=body)
        except UnreachableError:
            raise
        except UnusableError as refusal:
            self._model = None  # the window may be another one since a promotion
            return str(refusal)

    def _described_model(self) -> dict[str, Any]:
        """What `GET /v1/model` says, at most ten minutes old: a promotion may change the window."""
        if self._model is None or time.monotonic() - self._model[0] > self.model_seconds:
            model = self._call("GET", "/v1/model")
            if not model.get("ready"):
                raise UnreachableError("the service has no model yet")
            self._model = (time.monotonic(), model)
        return self._model[1]

    def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """Ask; after a failure nobody is asked for a while, so that a dead service holds up nothing."""
        try:
            response = self._send(method, path, **options)
            answer: dict[str, Any] = response.json()
        except (httpx.HTTPError, ValueError) as error:
            self._silent_until = time.monotonic() + self.retry_seconds
            raise UnreachableError(f"{type(error).__name__} at {self.url}{path}") from error
        if response.status_code == 200:
            return answer
        told = answer.get("error", {})
        words = f"{response.status_code} {told.get('code')}: {told.get('message')}"
        if response.status_code in {429, 500, 502, 503, 504}:
            self._silent_until = time.monotonic() + self.retry_seconds
            raise UnreachableError(words)
        raise UnusableError(words)

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        return httpx.request(
            method,
            f"{self.url}{path}",
            headers=self._headers,
            timeout=self.timeout,
            trust_env=False,
            **options,
        )

    def _check(self, answer: dict[str, Any], now: pd.Timestamp) -> None:
        """Refuse what should not be traded on.

        Raises
        ------
        UnusableError
            Says why.
        """
        model = answer["model"]
        if model["state"] != "fresh":
            raise UnusableError(f"the model is {model['state']}")
        if pd.Timestamp(model["trained_until"]) > now:
            raise UnusableError("the model was trained on later data than this candle: no backtest with it")
        if pd.Timestamp(answer["valid_until"]) < now - timedelta(minutes=5):
            raise UnusableError("the answer is out of date")
        worse = [name for name in answer["degraded"] if name not in self.tolerated]
        if worse:
            raise UnusableError(f"the answer is degraded: {', '.join(worse)}")

    def _funding(self, pair: str, closes: pd.Series, now: pd.Timestamp) -> dict[str, list[float | None]]:
        """Last settled funding rate at each close, not older than a day; nothing where there is none."""
        rates = self.dp.get_pair_dataframe(pair, self.timeframe, "funding_rate")
        # Releases of freqtrade differ in how they call it.
        if "funding_rate" not in rates:
            rates = rates.rename(columns={"open": "funding_rate"})
        if not len(rates) or "funding_rate" not in rates:
            return {}
        rates = rates.loc[rates["date"] <= now, ["date", "funding_rate"]].dropna().sort_values("date")
        gaps = (rates["date"].diff().dt.total_seconds() / 3600).to_numpy()
        known = np.array([1.0, 2.0, 4.0, 8.0])
        rates["hours"] = [
            np.nan if np.isnan(gap) else known[np.abs(known - gap).argmin()] for gap in gaps.tolist()
        ]
        asked = pd.DataFrame({"date": closes.astype(rates["date"].dtype).reset_index(drop=True)})
        joined = pd.merge_asof(asked, rates.dropna(), on="date", tolerance=pd.Timedelta(hours=24))
        return {
            name: [None if np.isnan(value) else float(value) for value in joined[column]]
            for name, column in (("funding_rate", "funding_rate"), ("funding_interval_hours", "hours"))
        }

"""Run by freqtrade's own interpreter: loads the example strategy as freqtrade does and asks what it asks.

Arguments: folder of the strategy, address of the service, user folder, candles and funding as CSV, the
moment in ms. Prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from freqtrade.data.dataprovider import DataProvider
from freqtrade.data.history import get_datahandler
from freqtrade.enums import CandleType, MarginMode, RunMode, TradingMode
from freqtrade.resolvers import StrategyResolver

PAIR = "SIMBTC/USDT:USDT"


def table(path: str) -> pd.DataFrame:
    """Rows with freqtrade's column of times."""
    rows = pd.read_csv(path)
    rows["date"] = pd.to_datetime(rows["date"], utc=True).astype("datetime64[ms, UTC]")
    return rows


def main(strategy_folder: str, address: str, user: str, candles: str, funding: str, moment: str) -> None:
    """Store the candles as freqtrade does, load the strategy, ask."""
    data = Path(user) / "data"
    (data / "futures").mkdir(parents=True)
    config: dict[str, Any] = {
        "strategy": "BearmodeStrategy",
        "strategy_path": strategy_folder,
        "user_data_dir": Path(user),
        "datadir": data,
        "dataformat_ohlcv": "feather",
        "runmode": RunMode.BACKTEST,
        "trading_mode": TradingMode.FUTURES,
        "margin_mode": MarginMode.ISOLATED,
        "candle_type_def": CandleType.FUTURES,
        "stake_currency": "USDT",
        "stake_amount": 100,
        "exchange": {"name": "binance"},
        "timeframe": "4h",
        "bearmode": {
            "url": address,
            "timeout": 30.0,
            "tolerated": [
                "model_trained_on_simulated_data",
                "unknown_symbol",
                "unknown_margin_tier",
                "stale_window",
            ],
        },
    }
    handler = get_datahandler(data, "feather")
    handler.ohlcv_store(PAIR, "4h", table(candles), CandleType.FUTURES)
    rates = table(funding)
    rates = rates.assign(**dict.fromkeys(("open", "high", "low", "close"), rates["funding_rate"]), volume=0.0)
    handler.ohlcv_store(PAIR, "4h", rates, CandleType.FUNDING_RATE)
    strategy = StrategyResolver.load_strategy(config)
    strategy.dp = DataProvider(config, None)
    strategy.dp.get_funding_rate_timeframe = lambda: "4h"
    now = pd.Timestamp(int(moment), unit="ms", tz="UTC").to_pydatetime()
    told: dict[str, Any] = {"class": type(strategy).__mro__[1].__module__, "timeframe": strategy.timeframe}
    for side in ("short", "long"):
        leverage = strategy.leverage(PAIR, now, 1.0, 1.0, 20.0, None, side)
        stake = strategy.custom_stake_amount(PAIR, now, 1.0, 100.0, 1.0, 1000.0, leverage, None, side)
        confirmed = strategy.confirm_trade_entry(PAIR, "limit", 1.0, 1.0, "GTC", now, None, side)
        told[side] = [leverage, stake, confirmed]
    told["answer"] = strategy.answer(PAIR, now)
    frame = strategy.dp.get_pair_dataframe(PAIR, "4h")
    signals = strategy.advise_entry(strategy.advise_indicators(frame, {"pair": PAIR}), {"pair": PAIR})
    told["columns"] = sorted(set(signals.columns) & {"enter_long", "enter_short"})
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])

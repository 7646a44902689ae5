"""What is said of a symbol that an exchange does not list."""

import pytest

from bus.unlisted import unlisted

LISTED = ["BTC/USDT:USDT", "ETH/USDT:USDT", "1000PEPE/USDT:USDT", "BTC/USDC:USDC"]


@pytest.mark.parametrize(
    ("symbol", "hint"),
    [
        ("BTCX/USDT:USDT", "did you mean x:BTC/USDT:USDT?"),
        ("PEPE/USDT:USDT", "did you mean x:1000PEPE/USDT:USDT?"),
        ("ETHX/USDC:USDC", "see: candlebus contracts x"),
        ("VST/USDT:USDT", "see: candlebus contracts x"),
    ],
)
def test_the_nearest_coin_of_the_same_settlement_is_named_and_no_other(symbol: str, hint: str) -> None:
    assert str(unlisted("x", symbol, LISTED)) == f"x lists no {symbol}; {hint}"

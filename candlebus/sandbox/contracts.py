"""Contract lists in each venue's own shape, field for field."""

from typing import Any, Final

from candlebus.sandbox.listings import Listing

_FUNDING_MS: Final = 28_800_000

# Fields of a KuCoin contract that no candle fetcher reads; the values are plausible, the types are the venue's.
_KUCOIN_COMMON: Final[dict[str, Any]] = {
    "maxOrderQty": 1_000_000,
    "maxPrice": 1_000_000.0,
    "lotSize": 1,
    "initialMargin": 0.01,
    "maintainMargin": 0.005,
    "maxRiskLimit": 100_000,
    "minRiskLimit": 100_000,
    "riskStep": 50_000,
    "makerFeeRate": 0.0002,
    "takerFeeRate": 0.0006,
    "takerFixFee": 0.0,
    "makerFixFee": 0.0,
    "settlementFee": None,
    "isDeleverage": True,
    "markMethod": "FairPrice",
    "fairMethod": "FundingRate",
    "fundingFeeRate": 0.0001,
    "predictedFundingFeeRate": 0.0001,
    "fundingRateGranularity": _FUNDING_MS,
    "openInterest": "5000000",
    "maxLeverage": 100,
    "sourceExchanges": ["okex", "binance", "kucoin", "bybit"],
    "k": 490.0,
    "m": 300.0,
    "f": 1.3,
    "mmrLimit": 0.3,
    "mmrLevConstant": 100.0,
    "supportCross": True,
}


def bingx_contract(listing: Listing, number: int) -> dict[str, Any]:
    """An entry of BingX's list of USDT-margined contracts.

    Args:
        number: Place in the list, from 0; makes the contract's id.
    """
    unit = f"{10.0**-listing.volume_decimals:.{listing.volume_decimals}f}"
    base = listing.native_id.partition("-")[0]
    return {
        "contractId": str(100 + number),
        "symbol": listing.native_id,
        "size": unit,
        "quantityPrecision": listing.volume_decimals,
        "pricePrecision": listing.price_decimals,
        "feeRate": 0.0005,
        "makerFeeRate": 0.0002,
        "takerFeeRate": 0.0005,
        "tradeMinLimit": 0,
        "tradeMinQuantity": float(unit),
        "tradeMinUSDT": 2,
        "currency": "USDT",
        "asset": base,
        "status": listing.status,
        "apiStateOpen": "true" if listing.status == 1 else "false",
        "apiStateClose": "true",
        "ensureTrigger": True,
        "triggerFeeRate": "0.00020000",
        "brokerState": False,
        "launchTime": 0 if listing.hides_listing else listing.listed_ms,
        "maintainTime": 0,
        "offTime": listing.expires_ms or 0,
        "displayName": listing.symbol.partition("/")[0].removesuffix("COIN") + "-USDT",
    }


def bingx_inverse_contracts() -> list[dict[str, Any]]:
    """BingX's list of coin-margined contracts, which only clients that load everything ask for."""
    return [
        {
            "symbol": "BTC-USD",
            "pricePrecision": 1,
            "minTickSize": "100",
            "minTradeValue": "100",
            "minQty": "1.00000000",
            "status": 1,
            "timeOnline": 1_710_482_400_000,
        }
    ]


def bingx_spot_symbols() -> list[dict[str, Any]]:
    """BingX's list of spot pairs, which only clients that load everything ask for."""
    return [
        {
            "symbol": "BTC-USDT",
            "minQty": 0.00001,
            "maxQty": 100,
            "minNotional": 1,
            "maxNotional": 1_000_000,
            "status": 1,
            "tickSize": 0.01,
            "stepSize": 0.000001,
            "apiStateSell": True,
            "apiStateBuy": True,
            "timeOnline": 0,
            "offTime": 0,
            "maintainTime": 0,
            "displayName": "BTC-USDT",
        }
    ]


def kucoin_currencies() -> list[dict[str, Any]]:
    """KuCoin's list of coins, which only clients that load everything ask for."""
    return [_kucoin_coin("BTC", "Bitcoin"), _kucoin_coin("USDT", "Tether")]


def kucoin_contract(listing: Listing, last: float, opened: float, now_ms: int) -> dict[str, Any]:
    """An entry of KuCoin's list of contracts.

    Args:
        last: Price of the last trade.
        opened: Price a day ago.
        now_ms: The venue's clock; what runs down, such as the time to the next funding, is told from here.
    """
    return {
        **_identity(listing),
        **_KUCOIN_COMMON,
        "tickSize": listing.tick,
        "indexPriceTickSize": listing.tick,
        "multiplier": listing.multiplier,
        "isQuanto": not listing.is_inverse,
        "isInverse": listing.is_inverse,
        **_related(listing),
        # A countdown and no instant; a dated future has none, and that tells it apart.
        "nextFundingRateTime": None if listing.dated else _FUNDING_MS - now_ms % _FUNDING_MS,
        **_market(last, opened),
    }


def _kucoin_coin(code: str, name: str) -> dict[str, Any]:
    return {
        "currency": code,
        "name": code,
        "fullName": name,
        "precision": 8,
        "confirms": None,
        "contractAddress": None,
        "isMarginEnabled": True,
        "isDebitEnabled": True,
        "chains": [],
    }


def _coins(listing: Listing) -> tuple[str, str, str]:
    base, _, rest = listing.symbol.partition("/")
    quote, _, settle = rest.partition(":")
    settle = settle.partition("-")[0]
    return _spelled(base), quote, _spelled(settle)


def _spelled(coin: str) -> str:
    return "XBT" if coin == "BTC" else coin


def _identity(listing: Listing) -> dict[str, Any]:
    base, quote, settle = _coins(listing)
    return {
        "symbol": listing.native_id,
        "rootSymbol": settle,
        "type": "FFICSX" if listing.dated else "FFWCSX",
        "firstOpenDate": listing.listed_ms,
        "expireDate": listing.expires_ms,
        "settleDate": listing.expires_ms,
        "baseCurrency": base,
        "quoteCurrency": quote,
        "settleCurrency": settle,
        "status": listing.status,
    }


def _related(listing: Listing) -> dict[str, Any]:
    base, quote, _ = _coins(listing)
    name = listing.native_id
    return {
        "fundingBaseSymbol": f".{base}INT8H",
        "fundingQuoteSymbol": f".{quote}INT8H",
        "fundingRateSymbol": f".{name}FPI8H",
        "indexSymbol": f".K{base}{quote}",
        "settlementSymbol": "",
        "premiumsSymbol1M": f".{name}PI",
        "premiumsSymbol8H": f".{name}PI8H",
        "fundingBaseSymbol1M": f".{base}INT",
        "fundingQuoteSymbol1M": f".{quote}INT",
    }


def _market(last: float, opened: float) -> dict[str, Any]:
    return {
        "turnoverOf24h": 1_000_000.5,
        "volumeOf24h": 12_000.25,
        "markPrice": last,
        "indexPrice": last,
        "lastTradePrice": last,
        "lowPrice": min(last, opened),
        "highPrice": max(last, opened),
        "priceChgPct": round(last / opened - 1, 4) if opened else 0.0,
        "priceChg": last - opened,
        "buyLimit": last * 1.05,
        "sellLimit": last * 0.95,
    }

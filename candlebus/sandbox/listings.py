"""The contracts that the stand-ins list, as one table a venue."""

from typing import Final, Literal

import msgspec

Venue = Literal["bingx", "kucoinfutures"]
VENUES: Final[tuple[Venue, ...]] = ("bingx", "kucoinfutures")

LONG_AGO_MS: Final = 1_585_555_200_000  # 2020-03-30 08:00, when KuCoin opened XBTUSDTM
#: Listing of the youngest contract, 2025-12-15 00:00 UTC: a boundary of every timeframe up to a day.
RECENTLY_MS: Final = 1_765_756_800_000


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """One contract of one venue, and what its generated candles are made of.

    Attributes:
        native_id: The venue's own name of it, such as ``XBTUSDTM``.
        symbol: ccxt's unified symbol, such as ``BTC/USDT:USDT``.
        asset: What sets the price; listings of one asset move together on all venues.
        anchor: Price around which it moves, in quote coins per coin of the contract.
        price_decimals: Decimals of a price.
        tick_units: Smallest step of a price, in units of its last decimal.
        multiplier: Base coins per unit of the volume on the wire; 1 on BingX, whose volumes are base coins.
        volume_decimals: Decimals of the volume on the wire; 0 on KuCoin, whose volumes are lots.
        turnover: Typical volume of one minute, in quote coins.
        listed_ms: Open time of its first candle, ms.
        hides_listing: Whether the venue shows no instant of listing.
        status: The venue's own word or number for its state.
        expires_ms: Announced last instant, ms; None for none.
        dated: Whether it is a dated future and no perpetual.
    """

    venue: Venue
    native_id: str
    symbol: str
    asset: str
    anchor: float
    price_decimals: int
    tick_units: int = 1
    multiplier: float = 1.0
    volume_decimals: int = 0
    turnover: float = 1_000_000.0
    listed_ms: int = LONG_AGO_MS
    hides_listing: bool = False
    status: str | int = "Open"
    expires_ms: int | None = None
    dated: bool = False

    @property
    def is_inverse(self) -> bool:
        """Whether it settles in its base coin."""
        return self.multiplier < 0

    @property
    def tick(self) -> float:
        """Smallest step of a price, in quote coins."""
        return float(self.tick_units / 10**self.price_decimals)

    def base_volume(self, volume: float) -> float:
        """The volume on the wire in base coins; of an inverse contract, in US dollars.

        Rounded to the decimals of the multiplier, so that it is the shortest decimal of its value.
        """
        if self.venue == "bingx":
            return float(volume)
        return round(volume * abs(self.multiplier), decimals_of(self.multiplier))


def decimals_of(number: float) -> int:
    """Decimals that the shortest text of a number has, such as 3 for 0.001 and 0 for 100.0."""
    text = f"{number:.12f}".rstrip("0")
    return len(text.partition(".")[2])


def bingx_listings() -> tuple[Listing, ...]:
    """BingX's contracts, traps included: 1000PEPE, TONCOIN, one that may not be opened and one listed recently."""
    return tuple(_bingx(*row) for row in _BINGX)


def kucoin_listings() -> tuple[Listing, ...]:
    """KuCoin's contracts, traps included: XBT, an inverse, a dated, one about to end and one listed recently."""
    return tuple(_kucoin(*row) for row in _KUCOIN) + _KUCOIN_ODD


def listings_of(venue: Venue) -> tuple[Listing, ...]:
    """The contracts of a venue."""
    return bingx_listings() if venue == "bingx" else kucoin_listings()


# base, asset, anchor, price decimals, quantity decimals, turnover a minute, listed at
_BINGX: Final = (
    ("BTC", "BTC", 80_000.0, 1, 4, 9e6, 1_586_275_200_000),
    ("ETH", "ETH", 3_000.0, 2, 3, 6e6, 1_586_275_200_000),
    ("LINK", "LINK", 14.0, 3, 1, 3e5, 1_604_851_200_000),
    ("ADA", "ADA", 0.4, 4, 0, 2e5, 1_622_476_800_000),
    ("XRP", "XRP", 2.0, 4, 0, 9e5, 1_622_476_800_000),
    ("LTC", "LTC", 85.0, 2, 1, 1e5, 1_622_476_800_000),
    ("SOL", "SOL", 140.0, 3, 2, 2e6, 1_635_955_200_000),
    ("DOGE", "DOGE", 0.14, 5, 0, 5e5, 1_636_387_200_000),
    ("BNB", "BNB", 850.0, 2, 2, 6e5, 1_647_014_400_000),
    ("1000PEPE", "PEPE", 0.0045, 7, 0, 3e5, 1_692_633_600_000),
    ("TONCOIN", "TON", 1.6, 3, 1, 8e4, 1_647_014_400_000),
    ("UNITAS", "UNITAS", 0.2, 5, 1, 2e4, 1_692_633_600_000),
    ("NOVA", "NOVA", 1.25, 4, 1, 4e4, RECENTLY_MS),
)

# base, asset, anchor, price decimals, multiplier, turnover a minute, listed at
_KUCOIN: Final = (
    ("XBT", "BTC", 80_000.0, 1, 0.001, 1.2e5, LONG_AGO_MS),
    ("ETH", "ETH", 3_000.0, 2, 0.01, 9e4, 1_591_056_000_000),
    ("SOL", "SOL", 140.0, 3, 0.1, 6e4, 1_610_668_800_000),
    ("BNB", "BNB", 850.0, 2, 0.01, 4e4, 1_610_668_800_000),
    ("DOGE", "DOGE", 0.14, 5, 100.0, 5e4, 1_610_668_800_000),
    ("XRP", "XRP", 2.0, 4, 10.0, 5e4, 1_610_668_800_000),
    ("ADA", "ADA", 0.4, 5, 10.0, 3e4, 1_598_054_400_000),
    ("LINK", "LINK", 14.0, 3, 0.1, 3e4, 1_598_054_400_000),
    ("PEPE", "PEPE", 0.0000045, 10, 100_000.0, 4e4, 1_683_244_800_000),
    ("TON", "TON", 1.6, 4, 1.0, 2e4, 1_659_916_800_000),
    ("NOVA", "NOVA", 1.25, 4, 1.0, 1e4, RECENTLY_MS),
)


def _bingx(
    base: str, asset: str, anchor: float, price_decimals: int, volume_decimals: int, turnover: float, listed_ms: int
) -> Listing:
    return Listing(
        venue="bingx",
        native_id=f"{base}-USDT",
        symbol=f"{base}/USDT:USDT",
        asset=asset,
        anchor=anchor,
        price_decimals=price_decimals,
        volume_decimals=volume_decimals,
        turnover=turnover,
        listed_ms=listed_ms,
        hides_listing=base == "TONCOIN",
        status=25 if base == "UNITAS" else 1,
    )


def _kucoin(
    base: str, asset: str, anchor: float, price_decimals: int, multiplier: float, turnover: float, listed_ms: int
) -> Listing:
    return Listing(
        venue="kucoinfutures",
        native_id=f"{base}USDTM",
        symbol=f"{asset}/USDT:USDT",
        asset=asset,
        anchor=anchor,
        price_decimals=price_decimals,
        multiplier=multiplier,
        turnover=turnover,
        listed_ms=listed_ms,
    )


_ODD_BITCOIN: Final = Listing(
    venue="kucoinfutures",
    native_id="XBTUSDM",
    symbol="BTC/USD:BTC",
    asset="BTC",
    anchor=80_000.0,
    price_decimals=1,
    multiplier=-1.0,
    turnover=5e4,
    listed_ms=1_552_838_400_000,
)

_KUCOIN_ODD: Final = (
    _ODD_BITCOIN,
    msgspec.structs.replace(
        _ODD_BITCOIN,
        native_id="XBTMM27",
        symbol="BTC/USD:BTC-270625",
        listed_ms=1_704_067_200_000,
        expires_ms=1_813_910_400_000,
        dated=True,
    ),
    # A perpetual whose end is announced shows an expiry and is a perpetual still (ccxt issue 26849).
    Listing(
        venue="kucoinfutures",
        native_id="LTCUSDTM",
        symbol="LTC/USDT:USDT",
        asset="LTC",
        anchor=85.0,
        price_decimals=2,
        multiplier=0.1,
        turnover=1e4,
        listed_ms=1_598_054_400_000,
        expires_ms=1_813_910_400_000,
    ),
)

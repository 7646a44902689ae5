"""Whether BingX's play money can be used here, and where it can: python examples/vst_setup.py"""

from candlebus import VST_CONFIG, MultiExchangeManager

with MultiExchangeManager() as manager:
    report = manager.validate_vst_contract("bingx")

print(f"{report['symbol']} on {report['exchange']}: {'available' if report['available'] else 'not available'}")
print(f"looked at: {report['contracts_checked']} contracts, source {report['source']}")
if report["available"]:
    print(f"native symbol: {report['native_symbol']}")
else:
    print(f"reason: {report['reason']}")
    print(f"demo trading: export CANDLEBUS_URL_BINGX={VST_CONFIG['demo_url']}")

"""How each exchange is doing; exit code 1 when one is not: python examples/status_monitoring.py"""

import sys

from candlebus import MultiExchangeManager

with MultiExchangeManager() as manager:
    summary = manager.get_exchange_summary()

for exchange, told in summary.items():
    if told["status"] != "ok":
        print(f"{exchange}: {told['status']}: {told['error']}")
        continue
    clock = told["server_time"]
    print(
        f"{exchange}: ok, {told['contracts']} contracts ({told['contracts_source']}), "
        f"clock {clock['low_ms']} to {clock['high_ms']} ms ahead ({clock['source']}), "
        f"pace {told['pace'] or 'of its workers'}, {len(told['timeframes'])} timeframes, "
        f"VST {'yes' if told['vst_supported'] else 'no'}"
    )

sys.exit(any(told["status"] != "ok" for told in summary.values()))

// Follow the candles of one series as they are published; docs/wire.md is the contract.
//
//   node subscribe.mjs bingx:BTC/USDT:USDT 30m --start start
//
// Prints "open_time open high low close volume", a line a candle, and "gap from_ms to_ms reason".

import { parseArgs } from "node:util";
import { decode } from "@msgpack/msgpack";
import { createClient, RESP_TYPES } from "redis";

const USAGE = "usage: node subscribe.mjs EXCHANGE:SYMBOL TIMEFRAME [--start now|start|ID] [--batches N]";
const LAYOUT = "candles.v1";

/**
 * A column as a typed array. It is copied first: a typed array must begin at a multiple of 8 bytes, and the column
 * begins wherever the message has it. Typed arrays have the machine's byte order, which is the wire's on all but a few.
 */
function column(Kind, bytes, n) {
  const values = new Kind(new Uint8Array(bytes).buffer);
  if (values.length !== n) throw new Error(`a column holds ${values.length} values, not ${n}`);
  return values;
}

/** The batch in the body of an entry, its columns as typed arrays. */
function candleBatch(body) {
  const { type, version, n, gaps, t, o, h, l, c, v } = decode(body);
  // The type is the layout with its version: another one is an error, never a guess.
  if (type !== LAYOUT) throw new Error(`layout ${type} is unknown here, which reads ${LAYOUT}`);
  const [open, high, low, close, volume] = [o, h, l, c, v].map((bytes) => column(Float64Array, bytes, n));
  return { version, n, gaps, openTime: column(BigInt64Array, t, n), open, high, low, close, volume };
}

/** The batches of a stream as they come; throws when some were lost. */
async function* batches(redis, stream, start) {
  // Bodies are binary, so replies stay buffers.
  const raw = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  let id = start === "start" ? "0-0" : start;
  if (start === "now") {
    // Not "$": asked again after a quiet wait, it would pass over what came in between.
    const [newest] = await redis.xRevRange(stream, "+", "-", { COUNT: 1 });
    id = newest?.id ?? "0-0";
  }
  let expected;
  for (;;) {
    const reply = await raw.xRead({ key: stream, id }, { COUNT: 20, BLOCK: 2000 });
    for (const entry of reply?.[0].messages ?? []) {
      const number = Number(entry.message.s.toString());
      if (expected !== undefined && number !== expected) {
        throw new Error(`entry ${expected} of ${stream} is gone, the next one is ${number}: ask for its span`);
      }
      id = entry.id.toString();
      expected = number + 1;
      yield candleBatch(entry.message.b);
    }
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { start: { type: "string", default: "now" }, batches: { type: "string" } },
});
if (positionals.length !== 2 || !positionals[0].includes(":")) {
  console.error(USAGE);
  process.exit(2);
}
const [series, timeframe] = positionals;
const colon = series.indexOf(":");
const stream = `candlebus:candles:${series.slice(0, colon)}:${timeframe}:${series.slice(colon + 1)}`;

const redis = createClient({ url: process.env.CANDLEBUS_REDIS_URL ?? "redis://localhost:6379/0" });
await redis.connect();
const versions = new Map();
let left = Number(values.batches ?? Infinity);
for await (const batch of batches(redis, stream, values.start)) {
  for (let i = 0; i < batch.n; i++) {
    // Milliseconds fit a number: they stay below 2 ** 53.
    const openTime = Number(batch.openTime[i]);
    // Two requests may cover one candle; of one open time the greatest version holds.
    if (batch.version <= (versions.get(openTime) ?? -1)) continue;
    versions.set(openTime, batch.version);
    const prices = [batch.open, batch.high, batch.low, batch.close, batch.volume].map((values) => values[i]);
    console.log([openTime, ...prices].join(" "));
  }
  for (const gap of batch.gaps) console.log(["gap", ...gap].join(" "));
  if (--left === 0) break;
}
await redis.close();

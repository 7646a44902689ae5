// Ask for candles by writing the job that RQ's workers read; docs/wire.md is the contract.
//
//   node enqueue.mjs bingx:BTC/USDT:USDT 30m --limit 500

import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { deflateSync } from "node:zlib";
import { createClient } from "redis";

const USAGE = "usage: node enqueue.mjs EXCHANGE:SYMBOL TIMEFRAME (--limit N | --since MS) [--until MS] [--timeout S]";
const ENDED = ["done", "failed", "cancelled"];
const text = { type: "string" };

/** Put a fetch request on the bus; its id, and the key of its job. */
async function enqueue(redis, series, timeframe, span) {
  // The symbol has a colon of its own: only the first one separates.
  const colon = series.indexOf(":");
  const [exchange, symbol] = [series.slice(0, colon), series.slice(colon + 1)];
  const queue = `fetch.${exchange}`;
  const requestId = randomUUID();
  const jobId = randomUUID();
  const now = new Date().toISOString();
  const kwargs = { request_id: requestId, exchange, symbol, timeframe, ...span };
  // One transaction: a worker that takes the id from the list finds the hash.
  await redis
    .multi()
    .sAdd("rq:queues", `rq:queue:${queue}`)
    .hSet(`rq:job:${jobId}`, {
      // Function, instance, positional and keyword arguments; the function is a name that workers look up.
      data: deflateSync(JSON.stringify(["candlebus.fetch_candles", null, [], kwargs])),
      origin: queue,
      status: "queued",
      created_at: now,
      enqueued_at: now,
      // Seconds. The record of the request tells how it went, so RQ need keep no result.
      timeout: "300",
      result_ttl: "0",
      failure_ttl: "3600",
    })
    .rPush(`rq:queue:${queue}`, jobId)
    .exec();
  return [requestId, `rq:job:${jobId}`];
}

/** The record of the request once it has ended, or as it stands when the time is over. */
async function follow(redis, requestId, jobKey, timeoutS) {
  const deadline = performance.now() + timeoutS * 1000;
  for (;;) {
    const record = await redis.hGetAll(`candlebus:request:${requestId}`);
    if (ENDED.includes(record.state) || performance.now() > deadline) return record;
    // A worker opens the record with its first turn. Arguments that are no request never get one: their job fails.
    if (!record.state && (await redis.hGet(jobKey, "status")) === "failed") {
      return { state: "failed", error: '{"message": "the worker refused the arguments; its log says why"}' };
    }
    await sleep(100);
  }
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { limit: text, since: text, until: text, timeout: { ...text, default: "60" } },
});
const [series, timeframe] = positionals;
if (positionals.length !== 2 || !series.includes(":") || (values.limit === undefined) === (values.since === undefined)) {
  console.error(USAGE);
  process.exit(2);
}
const given = ["limit", "since", "until"].filter((name) => values[name] !== undefined);
const span = Object.fromEntries(given.map((name) => [name, Number(values[name])]));

const redis = createClient({ url: process.env.CANDLEBUS_REDIS_URL ?? "redis://localhost:6379/0" });
await redis.connect();
const [requestId, jobKey] = await enqueue(redis, series, timeframe, span);
console.log(`request ${requestId}`);
const record = await follow(redis, requestId, jobKey, Number(values.timeout));
await redis.close();

const counts = ["candles", "gap_slots", "pages"].map((name) => `${name} ${record[name] ?? 0}`);
console.log(`${record.state ?? "waiting for a worker"}: ${counts.join(", ")}`);
if (record.error) console.log(JSON.parse(record.error).message);
process.exitCode = record.state === "done" ? 0 : 1;

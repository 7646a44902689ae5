"""Replies put on the wire, whole or damaged as a fault asks."""

import asyncio
from typing import Final

from aiohttp import web

from candlebus.sandbox.answers import Answer
from candlebus.sandbox.exchange import Reply

_CRUMBS: Final = 20


async def deliver(request: web.BaseRequest, reply: Reply, slow_ms: float) -> web.StreamResponse:
    """Send the reply.

    Args:
        slow_ms: How long the body of a reply with the fault ``slow`` takes.
    """
    if reply.delay_ms:
        await asyncio.sleep(reply.delay_ms / 1000)
    try:
        if reply.fault == "truncated":
            return await _truncated(request, reply.answer)
        if reply.fault == "slow":
            return await _slow(request, reply.answer, slow_ms)
    except ConnectionResetError:  # whoever asked is gone, and so is the connection
        return whole(reply.answer)
    return _dropped(request, reply.answer) if reply.fault == "drop" else whole(reply.answer)


def whole(answer: Answer) -> web.Response:
    """The answer as aiohttp sends it in one piece."""
    return web.Response(
        status=answer.status,
        headers=answer.headers,
        body=answer.body,
        content_type=answer.content_type,
        charset="utf-8",
    )


async def _started(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=answer.headers)
    response.content_type = answer.content_type
    response.content_length = len(answer.body)
    await response.prepare(request)
    return response


def _dropped(request: web.BaseRequest, answer: Answer) -> web.Response:
    _hang_up(request)
    return whole(answer)


async def _truncated(request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
    response = await _started(request, answer)
    await response.write(answer.body[: len(answer.body) // 2])
    _hang_up(request)
    return response


async def _slow(request: web.BaseRequest, answer: Answer, slow_ms: float) -> web.StreamResponse:
    response = await _started(request, answer)
    size = max(1, -(-len(answer.body) // _CRUMBS))
    for start in range(0, len(answer.body), size):
        await asyncio.sleep(slow_ms / 1000 / _CRUMBS)
        await response.write(answer.body[start : start + size])
    await response.write_eof()
    return response


def _hang_up(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()

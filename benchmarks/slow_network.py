"""A network between clients and a server: it takes its time, and now and then it breaks.

A proxy on 127.0.0.1. What goes through it arrives half a round trip later, in each direction, in
order; of a hundred connections some are reset amid what they carry.
"""

import asyncio
import math
import random
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

_BLOCK_BYTES = 64 * 1024
#: A connection that is to break does so within its first so many bytes, of both ways together.
_BREAKS_WITHIN_BYTES = 400_000
#: With SO_LINGER of no seconds, closing a connection resets it.
_AT_ONCE = struct.pack("ii", 1, 0)


class SlowNetwork:
    """Runs within a ``with`` block; connect to :attr:`port` instead of ``port``.

    Args:
        port: of the server, on 127.0.0.1.
        round_trip_seconds: what a question and its answer take longer.
        resets: the share of connections that break.
        seed: decides which, and where.

    Attributes:
        port: where clients connect, on 127.0.0.1.
        connections: how many were made so far, and
        broken: how many of them it has reset.
    """

    def __init__(self, port: int, round_trip_seconds: float, resets: float, seed: int = 1) -> None:
        self._to = port
        self._delay = round_trip_seconds / 2
        self._resets = resets
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0
        self.connections = self.broken = 0

    def __enter__(self) -> Self:
        self._thread.start()
        starting = asyncio.start_server(self._carry, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        carried = asyncio.all_tasks() - {asyncio.current_task()}
        for task in carried:
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""
        self.connections += 1
        breaks = self._random.random() < self._resets
        room = _Room(self._where() if breaks else math.inf)
        try:
            await asyncio.sleep(2 * self._delay)  # a connection is made by a round trip
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.create_task(self._carry_one_way(reader, onward, room)),
            asyncio.create_task(self._carry_one_way(onward_reader, writer, room)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
            if any(way.exception() for way in done):
                self.broken += breaks
                for each in (writer, onward):
                    _reset(each)
        finally:
            for way in ways:
                way.cancel()
            for each in (writer, onward):
                with suppress(OSError):
                    each.close()

    def _where(self) -> float:
        """After how many bytes a connection breaks: amid a heartbeat as likely as amid a model."""
        return math.exp(self._random.uniform(0, math.log(_BREAKS_WITHIN_BYTES)))

    async def _carry_one_way(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, room: "_Room"
    ) -> None:
        """What comes goes on after the delay. Raises ConnectionResetError when there is no room."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(64)

        async def deliver() -> None:
            while True:
                due, block = await under_way.get()
                await asyncio.sleep(max(0, due - self._loop.time()))
                if not block:
                    with suppress(OSError):
                        writer.write_eof()
                    return
                writer.write(block)
                await writer.drain()

        delivering = asyncio.create_task(deliver())
        try:
            while block := await reader.read(_BLOCK_BYTES):
                room.left -= len(block)
                if room.left <= 0:
                    raise ConnectionResetError
                await under_way.put((self._loop.time() + self._delay, block))
            await under_way.put((self._loop.time() + self._delay, b""))
            await delivering
        finally:
            delivering.cancel()


@dataclass
class _Room:
    """How many bytes a connection still carries, in both directions together."""

    left: float


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    writer.transport.abort()

"""`python -m benchmarks.relay MILLISECONDS FROM=TO …`: TCP between addresses, port 22, later by so much each way."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from functools import partial

PORT = 22
_CHUNK = 1 << 16


async def _delayed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """Passes on what it reads in order, each chunk as much later as the last."""
    loop = asyncio.get_running_loop()
    on_its_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def arrive() -> None:
        while True:
            due, chunk = await on_its_way.get()
            await asyncio.sleep(due - loop.time())
            if not chunk:
                writer.close()
                return
            writer.write(chunk)

    arriving = asyncio.create_task(arrive())
    try:
        while chunk := await reader.read(_CHUNK):
            on_its_way.put_nowait((loop.time() + delay_s, chunk))
    except ConnectionError:
        pass
    on_its_way.put_nowait((loop.time() + delay_s, b""))
    await arriving


async def _relay(target: str, delay_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(delay_s)
    further_reader, further_writer = await asyncio.open_connection(target, PORT)
    await asyncio.gather(
        _delayed(reader, further_writer, delay_s), _delayed(further_reader, writer, delay_s), return_exceptions=True
    )


async def main(milliseconds: float, pairs: Sequence[str]) -> None:
    servers = []
    for pair in pairs:
        near, _, far = pair.partition("=")
        servers.append(await asyncio.start_server(partial(_relay, far, milliseconds / 1000), near, PORT))
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), sys.argv[2:]))

"""aiohttp, a session for each request: aiohttp_get.py CA URL..."""
import asyncio
import ssl
import sys

import aiohttp


async def main():
    for url in sys.argv[2:]:
        async with aiohttp.ClientSession() as session:
            async with session.get(url, ssl=ssl.create_default_context(cafile=sys.argv[1])) as answer:
                sys.stdout.buffer.write(await answer.read())

asyncio.run(main())

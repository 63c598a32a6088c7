"""asyncio's streams: asyncio_streams.py CA URL..."""
import asyncio
import ssl
import sys
import urllib.parse


async def main():
    for url in sys.argv[2:]:
        parts = urllib.parse.urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=ssl.create_default_context(cafile=sys.argv[1]))
        writer.write(("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (parts.path, parts.netloc)).encode())
        await writer.drain()
        sys.stdout.buffer.write(await reader.read())
        writer.close()
        await writer.wait_closed()

asyncio.run(main())

import asyncio
import sys


async def fetch(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
    await writer.drain()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    print(answer.split(b"\r\n\r\n", 1)[1])


async def main():
    for path in sys.argv[2:]:
        await fetch(int(sys.argv[1]), path)

asyncio.run(main())

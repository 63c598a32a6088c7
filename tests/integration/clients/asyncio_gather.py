import asyncio
import sys


async def fetch(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET %s HTTP/1.0\r\n\r\n" % path.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer.split(b"\r\n\r\n", 1)[1]


async def main():
    for _ in range(5):
        for body in await asyncio.gather(*(fetch(int(sys.argv[1]), path) for path in sys.argv[2:])):
            print(body)

asyncio.run(main())

#!/usr/bin/env python3

"""A slow backend that remembers what it was asked.

    recorder.py PORT LOG

Each request is a line of LOG, written at once and before anything else is
done with it:

    begin TOKEN METHOD ACTIVE    its head is here; ACTIVE are under way with it
    body TOKEN LENGTH SHA256     the whole body is here
    end TOKEN                    the whole response was given to the kernel
    closed TOKEN                 the client went away before

The query says what to do: token=T (its name), delay=MS, size=BYTES of the
response, pieces=N that it is given in, with gap=MS between them, status=N,
gate=G (waits until /release?gate=G; "gate=" of no name: all of them),
length=0 for a response that ends with the connection, short=N for one that
lacks its last N bytes, group=G (whose number of
requests is ACTIVE).  /echo gives back the body.

The response is text that ends in the SHA-256 of all before it.
"""

import asyncio
import hashlib
import os
import socket
import sys
import urllib.parse

PIECE = 65536

log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
active = {}
gates = {}
opened = set()
parent = os.getppid()


def note(*words):
    os.write(log, (" ".join(str(w) for w in words) + "\n").encode())


class Closed(Exception):
    pass


def gone(sock):
    """True if the other side has closed."""
    try:
        return sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def enter(group, sock):
    """Counts what is really under way: who has been closed is not."""
    socks = active.setdefault(group, set())
    for s in [s for s in socks if gone(s)]:
        socks.discard(s)
    socks.add(sock)
    return len(socks)


async def unless_closed(sock, coro):
    """Waits for coro, but not longer than the client does."""
    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(coro)
    eof = asyncio.ensure_future(loop.sock_recv(sock, 1))
    try:
        await asyncio.wait({work, eof}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Closed()
    finally:
        for f in (work, eof):
            f.cancel()
            try:
                await f
            except (asyncio.CancelledError, OSError):
                pass


def body_of(token, size):
    """size bytes in pieces; the last 64 are the hash of the others."""
    pattern = hashlib.sha256(token.encode()).hexdigest().encode() * 1024
    h = hashlib.sha256()
    left = max(size - 64, 0)
    while left:
        piece = pattern[:min(left, len(pattern))]
        h.update(piece)
        left -= len(piece)
        yield piece
    yield h.hexdigest().encode()


async def read_head(sock):
    loop = asyncio.get_running_loop()
    buf = b""
    while b"\r\n\r\n" not in buf:
        data = await loop.sock_recv(sock, PIECE)
        if not data:
            return None, None, None, None
        buf += data
    head, rest = buf.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    fields = {}
    for line in lines[1:]:
        name, value = line.split(":", 1)
        fields[name.lower()] = value.strip()
    return method, target, fields, rest


async def answer(sock):
    loop = asyncio.get_running_loop()
    method, target, fields, rest = await read_head(sock)

    if method is None:
        return

    url = urllib.parse.urlsplit(target)
    q = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))

    if url.path == "/release":
        opened.add(q["gate"])
        gates.setdefault(q["gate"], asyncio.Event()).set()
        await loop.sock_sendall(sock, b"HTTP/1.0 204 Released\r\n\r\n")
        return

    if url.path == "/hold":
        opened.discard(q["gate"])
        gates[q["gate"]] = asyncio.Event()
        await loop.sock_sendall(sock, b"HTTP/1.0 204 Held\r\n\r\n")
        return

    token = q.get("token", "-")
    group = q.get("group", "")

    note("begin", token, method, enter(group, sock))

    try:
        await serve(sock, url, q, token, method, fields, rest)
        note("end", token)
    except (Closed, ConnectionError):
        note("closed", token)
    finally:
        active[group].discard(sock)


async def serve(sock, url, q, token, method, fields, rest):
    loop = asyncio.get_running_loop()
    length = int(fields.get("content-length", 0))

    if length:
        h = hashlib.sha256()
        left = length
        kept = []
        while True:
            h.update(rest)
            left -= len(rest)
            if url.path.endswith("/echo"):
                kept.append(rest)
            if left <= 0:
                break
            rest = await loop.sock_recv(sock, 1 << 20)
            if not rest:
                raise Closed()
        note("body", token, length, h.hexdigest())

    if "gate" in q and q["gate"] not in opened:
        event = gates.setdefault(q["gate"], asyncio.Event())
        await unless_closed(sock, event.wait())

    if "delay" in q:
        await unless_closed(sock, asyncio.sleep(int(q["delay"]) / 1000))

    if url.path.endswith("/echo"):
        size = length
        body = iter(kept if length else [])
    else:
        size = max(int(q.get("size", 64)), 64)
        body = body_of(token, size)

    head = "HTTP/1.0 %s Recorded\r\nContent-Type: text/plain\r\n" \
        "Connection: close\r\n" % q.get("status", "200")
    if q.get("length") != "0":
        head += "Content-Length: %d\r\n" % (size + int(q.get("short", 0)))
    await loop.sock_sendall(sock, (head + "\r\n").encode())

    if "pieces" in q:
        data = b"".join(body)
        n = max(len(data) // int(q["pieces"]), 1)
        for i in range(0, len(data), n):
            await loop.sock_sendall(sock, data[i:i + n])
            await unless_closed(sock,
                                asyncio.sleep(int(q.get("gap", 10)) / 1000))
    else:
        for piece in body:
            await loop.sock_sendall(sock, piece)


async def connection(sock):
    try:
        await answer(sock)
    except (ConnectionError, ValueError):
        pass
    finally:
        sock.close()


async def main():
    loop = asyncio.get_running_loop()
    listen = socket.socket()
    listen.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listen.bind(("127.0.0.1", int(sys.argv[1])))
    listen.listen(4096)
    listen.setblocking(False)
    running = set()

    async def watch():
        # ends with the test, however that ends
        while os.getppid() == parent:
            await asyncio.sleep(1)
        os._exit(0)

    running.add(asyncio.ensure_future(watch()))

    while True:
        sock, _ = await loop.sock_accept(listen)
        sock.setblocking(False)
        task = asyncio.ensure_future(connection(sock))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())

"""A slow, synchronous backend, such as people have: plain WSGI.

POST /reports/ takes a CSV table and answers with a report over its numeric
columns, as JSON: estimates with confidence intervals, and correlations with
their p-values.  Both are found by resampling the data thousands of times,
which takes seconds, and depend on the table alone: the same table gives the
same bytes.

    python3 backend.py socket

It knows nothing of jobs.
"""

import csv
import io
import json
import os
import random
import signal
import socketserver
import statistics
import sys
import zlib
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

RESAMPLES = 40000
PERMUTATIONS = 15000


def columns(text):
    rows = csv.reader(io.StringIO(text))
    header = next(rows, [])
    rows = [row for row in rows if len(row) == len(header)]
    table = {}

    for name, values in zip(header, zip(*rows)):
        try:
            table[name] = [float(value) for value in values]
        except ValueError:
            pass

    return table


def interval(values, estimate, rng):
    size = len(values)
    found = sorted(estimate(rng.choices(values, k=size))
                   for _ in range(RESAMPLES))

    return [found[RESAMPLES * 25 // 1000], found[RESAMPLES * 975 // 1000 - 1]]


def mean(values):
    return sum(values) / len(values)


def scores(values):
    centre, spread = mean(values), statistics.pstdev(values) or 1.0
    return [(value - centre) / spread for value in values]


def correlation(first, second, rng):
    size = len(first)
    first, second = scores(first), scores(second)

    def product():
        return sum(a * b for a, b in zip(first, second)) / size

    observed = product()
    extreme = 0

    for _ in range(PERMUTATIONS):
        rng.shuffle(second)
        extreme += abs(product()) >= abs(observed)

    return {"r": round(observed, 4),
            "p": round((extreme + 1) / (PERMUTATIONS + 1), 5)}


def report(text):
    table = columns(text)
    rng = random.Random(zlib.crc32(text.encode()))
    names = list(table)

    if not table or len(table[names[0]]) < 2:
        raise ValueError("the table has no numeric column with two rows")

    return {
        "rows": len(table[names[0]]),
        "columns": {
            name: {
                "mean": round(mean(values), 4),
                "mean_95": interval(values, mean, rng),
                "median": statistics.median(values),
                "median_95": interval(values, statistics.median, rng),
                "stdev": round(statistics.stdev(values), 4),
            } for name, values in table.items()
        },
        "correlations": [
            {"columns": [a, b], **correlation(table[a], table[b], rng)}
            for i, a in enumerate(names) for b in names[i + 1:]
        ],
    }


def application(environ, start_response):
    def answer(status, value):
        body = json.dumps(value, indent=2).encode() + b"\n"
        start_response(status, [("Content-Type", "application/json"),
                                ("Content-Length", str(len(body)))])
        return [body]

    if environ["REQUEST_METHOD"] != "POST":
        return answer("405 Method Not Allowed", {"error": "POST a table"})

    size = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(size)

    try:
        return answer("200 OK", report(body.decode()))
    except (ValueError, csv.Error) as error:
        return answer("400 Bad Request", {"error": str(error)})


class Handler(WSGIRequestHandler):
    def address_string(self):
        return "nginx"

    def log_message(self, *args):
        pass


# A process for each request, as the work is computation

class Server(socketserver.ForkingMixIn, WSGIServer):
    address_family = socketserver.socket.AF_UNIX

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 80
        self.setup_environ()

    def finish_request(self, request, client_address):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        super().finish_request(request, client_address)

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)


def main(path):
    def stop(*args):
        raise SystemExit

    signal.signal(signal.SIGTERM, stop)

    if os.path.exists(path):
        os.unlink(path)

    with Server(path, Handler) as server:
        os.chmod(path, 0o666)
        server.set_app(application)

        try:
            server.serve_forever()
        finally:
            for child in server.active_children or ():
                os.kill(child, signal.SIGTERM)


if __name__ == "__main__":
    main(sys.argv[1])

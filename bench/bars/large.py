"""Bar 14: one response of 1 GB, into the store and then out, against
proxy_pass of it."""

import json
import time

from harness.client import Client
from harness.compare import Comparison
from harness.report import Row, at_least
from harness.server import SlowBackend, plain, with_module

SIZE = 1 << 30

# nothing is written to temporary files, on either side
PROXY = '''
        location /bytes/ {
            proxy_max_temp_file_size 0;
            proxy_pass http://slow;
        }
'''

SERVER = '''
        location /bytes/ {
            async on;
            async_max_response_size 0;
            proxy_max_temp_file_size 0;
            proxy_pass http://slow;
        }
'''


def fetch(bench, port, path):
    """Reads it all with curl."""

    output = bench.run(['curl', '-s', '-o', '/dev/null', '-w',
                        '{"status":%{http_code},"size":%{size_download}}',
                        f'http://127.0.0.1:{port}{path}'], timeout=120)

    if json.loads(output) != {'status': 200, 'size': SIZE}:
        raise RuntimeError(f'{path}: {output}')


def through_proxy(bench, proxy):
    start = time.monotonic()
    fetch(bench, proxy.port, f'/bytes/{SIZE}')

    return SIZE / (time.monotonic() - start)


def through_store(bench, module):
    """Seconds in, from the submission to the end of the job, and out: all of
    J/result."""

    with Client(module.port, timeout=120) as client:
        start = time.monotonic()
        result = client.submit(f'/bytes/{SIZE}')
        stored = client.settle()
        fetch(bench, module.port, result)
        end = time.monotonic()

        client.request('DELETE', result)

    return stored - start, end - stored


def mib_per_second(rate):
    return f'{rate / (1 << 20):,.0f} MiB/s'


def measure(bench):
    rates = Comparison(max)
    parts = []

    with SlowBackend(bench), plain(bench, PROXY) as proxy, \
            with_module(bench, '', SERVER) as module:

        for _ in range(bench.rounds):
            rate = None

            if module:
                parts.append(through_store(bench, module))
                rate = SIZE / sum(parts[-1])

            rates.add(rate, through_proxy(bench, proxy))

    rows = [at_least(14, '1 GB into the store and out / proxy_pass', rates,
                     0.3, 0.6, mib_per_second)]

    if parts:
        seconds = min(parts, key=sum)
        rows.append(Row(14, 'of it, in and out alone', '', ', '.join(
            mib_per_second(SIZE / part) for part in seconds)))

    return rows

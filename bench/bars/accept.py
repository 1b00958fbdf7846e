"""Bar 1: durable accepts into a full queue, against proxy_pass.

The queue runs one job at a time, and the first takes ten minutes: all others
wait."""

from harness.compare import Comparison
from harness.load import wrk
from harness.report import at_least
from harness.server import (PROXY, SlowBackend, instant_backend, plain,
                            with_module)

HTTP = '''
    async_queue full concurrency=1 backlog=1000000000;
'''

SERVER = '''
        location /full/ {
            async on queue=full;
            proxy_pass http://slow/delay/600000;
        }
'''


def measure(bench):
    rates = Comparison(max)

    with instant_backend(bench), SlowBackend(bench), \
            plain(bench, PROXY) as proxy, \
            with_module(bench, HTTP, SERVER) as module:

        for _ in range(bench.rounds):
            rate = None

            if module:
                module.clear()
                rate = wrk(bench, module.port, '/full/', 3)['rate']

            rates.add(rate, wrk(bench, proxy.port, '/proxy/', 3)['rate'])

    return [at_least(1, 'durable accepts/s into a full queue / proxy_pass',
                     rates, 0.5, 1.0, '{:,.0f}/s'.format)]

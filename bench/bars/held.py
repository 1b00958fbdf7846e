"""Bar 9: calls that end while their client is held (async_wait), against
proxy_pass: throughput, and what they add to the median latency."""

from harness.client import backend_requests
from harness.compare import Comparison, spread
from harness.load import wrk
from harness.report import at_least, limit
from harness.server import PROXY, instant_backend, plain, with_module

HTTP = '''
    async_queue held concurrency=256;
'''

SERVER = '''
        location /held/ {
            async on queue=held;
            async_wait 50s;
            proxy_pass http://instant;
        }
'''


def run_held(bench, module, backend):
    """Every answer must be the backend's."""

    before = backend_requests(backend.port)
    result = wrk(bench, module.port, '/held/', 3)
    calls = backend_requests(backend.port) - before

    if calls < result['requests']:
        raise RuntimeError(f'{result["requests"]} answers of {calls} calls')

    return result


def measure(bench):
    rates = Comparison(max)
    p50 = Comparison(min)

    with instant_backend(bench) as backend, plain(bench, PROXY) as proxy, \
            with_module(bench, HTTP, SERVER) as module:

        for _ in range(bench.rounds * 2):
            held = run_held(bench, module, backend) if module else {}
            proxied = wrk(bench, proxy.port, '/proxy/', 3)

            rates.add(held.get('rate'), proxied['rate'])
            p50.add(held.get('p50_ms'), proxied['p50_ms'])

    added = p50.module.quietest and p50.module.quietest - p50.plain.quietest

    return [at_least(9, 'held until the call ends, requests/s / proxy_pass',
                     rates, 0.85, 0.97, '{:,.0f}/s'.format),
            limit(9, 'added to the median latency', '<= 0.3 ms (aim 0.1 ms)',
                  added, 0.3,
                  '-' if added is None else f'{added:.2f} ms ('
                  + p50.measured('{:.2f}'.format) + ')',
                  spread([m - p for m, p in zip(p50.module.samples,
                                                p50.plain.samples)]))]

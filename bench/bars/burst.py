"""Bar 4: 5,000 calls of 200 ms, all at once, until all results are stored,
against the same through proxy_pass until all are answered."""

from harness.client import Client
from harness.compare import Comparison
from harness.load import Crowd
from harness.report import at_most
from harness.server import SlowBackend, plain, with_module

CALLS = 5000

HTTP = f'''
    async_queue burst concurrency={CALLS};
'''

SERVER = '''
        location /burst/ {
            async on queue=burst;
            proxy_pass http://slow/delay/200;
        }
'''

PROXY = '''
        location /burst/ {
            proxy_pass http://slow/delay/200;
        }
'''


def burst(bench, port, status):
    """Seconds from the first request to the last answer, and the clock's
    time of the first."""

    with Crowd(bench, port, CALLS, 'POST', '/burst/') as crowd:
        crowd.go()
        result = crowd.result(status)

    return (result['ended'] - result['started']) / 1e9, result['started'] / 1e9


def burst_of_jobs(bench, module):
    """Seconds from the first request to the last result stored."""

    with Client(module.port) as client:
        started = burst(bench, module.port, 202)[1]

        return client.settle() - started


def measure(bench):
    seconds = Comparison(min)

    with SlowBackend(bench), plain(bench, PROXY) as proxy, \
            with_module(bench, HTTP, SERVER) as module:

        for _ in range(bench.rounds):
            seconds.add(burst_of_jobs(bench, module) if module else None,
                        burst(bench, proxy.port, 200)[0])

    return [at_most(4, '5,000 calls of 200 ms at once, all stored / '
                    'proxy_pass, all answered', seconds, 1.3, 1.1,
                    '{:.2f} s'.format)]

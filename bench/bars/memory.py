"""Bar 5: memory of all nginx processes per call in flight: 2,000 calls of
30 s whose clients are gone, against 2,000 clients held by proxy_pass."""

from harness.client import Client, wait_for
from harness.compare import Comparison
from harness.load import Crowd
from harness.report import at_most, limit
from harness.server import SlowBackend, plain, with_module

CALLS = 2000

HTTP = f'''
    async_queue calls concurrency={CALLS};
'''

SERVER = '''
        location /call/ {
            async on queue=calls;
            proxy_pass http://slow/delay/;
        }
'''

PROXY = '''
        location /call/ {
            proxy_pass http://slow/delay/;
        }
'''


def in_flight(backend):
    with Client(backend.port) as client:
        return int(client.get('/waiting').body)


def warm_up(bench, nginx, backend, status):
    """Whatever is allocated once, is now."""

    with Crowd(bench, nginx.port, 64, 'POST', '/call/0') as crowd:
        crowd.go()
        crowd.result(status)

    wait_for(lambda: in_flight(backend) == 0, 10, 0.01, 'the warm-up')


def per_call(bench, nginx, backend, status):
    """Bytes per call in flight.  The clients of jobs have left by then, those
    of the proxy cannot."""

    warm_up(bench, nginx, backend, status)
    before = nginx.private_bytes()

    with Crowd(bench, nginx.port, CALLS, 'POST', '/call/30000') as crowd:
        crowd.go()

        if status == 202:
            crowd.result(status)
        else:
            wait_for(lambda: in_flight(backend) == CALLS, 20, 0.05,
                     'the calls')
            after = nginx.private_bytes()

    if status == 202:
        wait_for(lambda: in_flight(backend) == CALLS, 20, 0.05, 'the calls')
        after = nginx.private_bytes()

    return (after - before) / CALLS


def measure(bench):
    memory = Comparison(min)

    for _ in range(min(2, bench.rounds)):
        module_bytes = None

        if not bench.plain:
            with SlowBackend(bench) as backend, \
                    with_module(bench, HTTP, SERVER) as module:
                module_bytes = per_call(bench, module, backend, 202)

        with SlowBackend(bench) as backend, plain(bench, PROXY) as proxy:
            memory.add(module_bytes, per_call(bench, proxy, backend, 200))

    kib = memory.module.quietest and memory.module.quietest / 1024

    return [at_most(5, 'memory per call in flight, client gone / held by '
                    'proxy_pass', memory, 1.5, 1.0,
                    lambda n: f'{n / 1024:.1f} KiB'),
            limit(5, 'the same, absolute', '<= 16 KiB', kib, 16,
                  '-' if kib is None else f'{kib:.1f} KiB')]

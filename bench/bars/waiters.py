"""Bar 12: 10,000 long-pollers of one job: CPU while nothing happens, and how
long after the end of its call the last of them has its answer.  Beside it,
10,000 clients of proxy_pass whose calls end at the same moment."""

import time

from harness.client import Client, wait_for
from harness.compare import Comparison, spread
from harness.load import Crowd
from harness.report import limit
from harness.server import SlowBackend, plain, with_module

WAITERS = 10000
IDLE = 4            # seconds

SERVER = '''
        location /hold/ {
            async on;
            proxy_pass http://slow/hold/;
        }
'''

PROXY = '''
        location /hold/ {
            proxy_pass http://slow/hold/;
        }
'''


def quiet(nginx):
    """No more than a millisecond of CPU in a tenth of a second."""

    before = nginx.cpu_seconds()
    time.sleep(0.1)

    return nginx.cpu_seconds() - before < 0.001


def wait_and_wake(bench, nginx, backend, path):
    """Share of a core while all wait, and seconds until the last answer."""

    with Crowd(bench, nginx.port, WAITERS, 'GET', path) as crowd:
        crowd.go()
        wait_for(lambda: quiet(nginx), 20, 0, 'the long-pollers to wait')

        cpu = nginx.cpu_seconds()
        time.sleep(IDLE)
        share = (nginx.cpu_seconds() - cpu) / IDLE

        with Client(backend.port) as client:
            client.get('/release')

        delay = crowd.result(200)['delay']

    if delay['n'] != WAITERS:
        raise RuntimeError(f'only {delay["n"]} answers are the backend\'s')

    return share, delay['max_ms'] / 1e3


def wait_for_job(bench, module, backend):
    with Client(module.port) as client:
        job = client.submit('/hold/').removesuffix('/result')

    return wait_and_wake(bench, module, backend, job + '/wait')


def measure(bench):
    idle = Comparison(min)
    woken = Comparison(min)

    with SlowBackend(bench) as backend, plain(bench, PROXY) as proxy, \
            with_module(bench, '', SERVER) as module:

        for _ in range(min(2, bench.rounds)):
            share, seconds = wait_for_job(bench, module, backend) \
                if module else (None, None)
            proxy_share, proxy_seconds = wait_and_wake(bench, proxy, backend,
                                                       '/hold/')
            idle.add(share, proxy_share)
            woken.add(seconds, proxy_seconds)

    return [limit(12, '10,000 long-pollers, CPU while nothing happens',
                  '~0 (0.5 % of a core)', idle.module.quietest, 0.005,
                  idle.measured(lambda s: f'{s * 100:.2f} %'),
                  spread(idle.module.samples, '{:.2%}'.format)),
            limit(12, 'end of the call until all are answered',
                  '<= 1 s (aim 0.3 s)', woken.module.quietest, 1,
                  woken.measured('{:.2f} s'.format),
                  spread(woken.module.samples, '{:.2f} s'.format))]

"""Bars 6 and 7: 1,000,000 waiting jobs, all submitted through the API.

Bar 6: the private memory that they add, and the accept rate with them
against the rate of an empty queue.  Bar 7: with 100,000 finished jobs
besides, nginx is stopped and started; how long until the first accept."""

import signal
import time

from harness.client import Client, wait_for
from harness.compare import Comparison, spread
from harness.load import wrk
from harness.report import Row, at_least, limit
from harness.server import (PROXY, SlowBackend, instant_backend, plain,
                            with_module)

WAITING = 1000000
FINISHED = 100000
FILL_LIMIT = 150    # seconds

HTTP = '''
    async_queue full concurrency=1 backlog=1000000000;
    async_queue run concurrency=256 backlog=10000000;
'''

# the first job of /full/ takes ten minutes, all others wait
SERVER = '''
        location /full/ {
            async on queue=full;
            proxy_pass http://slow/delay/600000;
        }

        location /run/ {
            async on queue=run;
            proxy_pass http://instant;
        }
'''


class Backlog:
    """nginx and its store with the waiting jobs, and another one for the
    rates of an empty queue.  Bar 7 finds the store as bar 6 left it."""

    def __init__(self, bench):
        self.bench = bench
        self.module = with_module(bench, HTTP, SERVER)
        self.empty = with_module(bench, HTTP, SERVER, 'empty', 1)
        self.rates = Comparison(max)        # full queue, empty queue
        self.added = None                   # bytes for 1,000,000 jobs
        self.waiting = 0

        bench.at_end.callback(self.module.remove_store)
        bench.at_end.callback(self.empty.remove_store)

    def submit(self, seconds):
        """Submits for some seconds; how many a second."""

        result = wrk(self.bench, self.module.port, '/full/', seconds)
        self.waiting += result['requests']

        return result['rate']

    def submit_empty(self, seconds):
        """The same with an empty store, a new one each time."""

        self.empty.renew()

        try:
            return wrk(self.bench, self.empty.port, '/full/', seconds)['rate']
        finally:
            self.empty.stop()

    def fill(self):
        deadline = time.monotonic() + FILL_LIMIT

        while self.waiting < WAITING:
            if time.monotonic() > deadline:
                raise RuntimeError(f'only {self.waiting} jobs were accepted '
                                   f'in {FILL_LIMIT} s')
            self.submit(3)

    def prepare(self):
        """Everything that bar 6 needs to know.

        No store is removed before the end: a store that grows writes to
        memory and disk that are new to it, and so must the empty one.  What
        the last one has just left is faster, on a virtual machine by far."""

        # by then all is allocated that accepting takes
        self.submit(2)

        before = self.waiting, self.module.private_bytes()
        self.fill()
        after = self.waiting, self.module.private_bytes()

        self.added = ((after[1] - before[1]) * WAITING
                      / (after[0] - before[0]))

        for _ in range(self.bench.rounds):
            self.rates.add(self.submit(2), self.submit_empty(2))


def prepared(bench):
    """The backlog; its nginx is stopped."""

    if 'backlog' not in bench.shared:
        backlog = Backlog(bench)

        with SlowBackend(bench):
            try:
                backlog.module.start()
                backlog.prepare()
            finally:
                backlog.module.stop()

        bench.shared['backlog'] = backlog

    return bench.shared['backlog']


def measure_waiting(bench):
    memory = '1,000,000 waiting jobs, private memory added'
    rate = 'accept rate with them / with none'
    targets = '<= 16 MiB (aim 4 MiB)', '>= 0.8 (aim 1.0)'

    if bench.plain:
        return [Row(6, memory, targets[0]), Row(6, rate, targets[1])]

    backlog = prepared(bench)
    mib = backlog.added / (1 << 20)

    return [limit(6, memory, targets[0], mib, 16, f'{mib:.1f} MiB'),
            at_least(6, rate, backlog.rates, 0.8, 1.0, '{:,.0f}/s'.format)]


def add_finished(bench, module):
    """Runs jobs until there are enough; all are ended."""

    finished = 0

    while finished < FINISHED:
        finished += wrk(bench, module.port, '/run/', 2)['requests']

    with Client(module.port) as client:
        client.settle('run')


def restart(nginx, path, status, how):
    """Stops nginx, and starts it; seconds from its start to the first
    answer."""

    nginx.stop(how)
    start = time.monotonic()
    nginx.spawn()
    wait_for(lambda: answered(nginx.port, path, status), 60, 0.001,
             'the first answer')

    return time.monotonic() - start


def answered(port, path, status):
    try:
        with Client(port) as client:
            client.post(path, status)
    except ConnectionRefusedError:
        return False

    return True


def restart_module(bench, module, seconds):
    """SIGTERM, and SIGKILL of all processes, in turns."""

    module.start()

    try:
        add_finished(bench, module)

        for i in range(bench.rounds):
            how = signal.SIGKILL if i % 2 else signal.SIGTERM
            seconds.add(restart(module, '/full/', 202, how))

        with Client(module.port) as client:
            if client.metrics('full')['jobs_waiting'] < WAITING:
                raise RuntimeError('waiting jobs are missing')

    finally:
        module.stop()


def measure_restart(bench):
    seconds = Comparison(min)
    module = None if bench.plain else prepared(bench).module

    with instant_backend(bench), SlowBackend(bench):
        if module:
            restart_module(bench, module, seconds.module)

        with plain(bench, PROXY) as proxy:
            for _ in range(bench.rounds):
                seconds.plain.add(restart(proxy, '/proxy/', 200,
                                          signal.SIGTERM))

    return [limit(7, 'restart with 1,000,000 waiting and 100,000 finished '
                  'jobs, until the first accept', '<= 1 s (aim 0.2 s)',
                  seconds.module.quietest, 1,
                  seconds.measured('{:.3f} s'.format),
                  spread(seconds.module.samples, '{:.3f} s'.format))]

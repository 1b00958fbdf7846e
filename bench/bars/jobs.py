"""Bars 2 and 3: jobs accepted, run and their results stored, against
proxy_pass: how many a second, and their CPU time.

wrk submits for some seconds; the clock stops when the last result is
stored."""

import time

from harness.client import Client, backend_requests
from harness.compare import Comparison
from harness.load import wrk
from harness.report import at_least, at_most
from harness.server import PROXY, instant_backend, plain, with_module

HTTP = '''
    async_queue run concurrency=256 backlog=10000000;
'''

SERVER = '''
        location /run/ {
            async on queue=run;
            proxy_pass http://instant;
        }
'''


def run_jobs(bench, module, backend):
    """Jobs a second, and CPU seconds per job."""

    before = backend_requests(backend.port)
    cpu = module.cpu_seconds()
    start = time.monotonic()

    jobs = wrk(bench, module.port, '/run/', 3)['requests']

    with Client(module.port) as client:
        seconds = client.settle() - start

    cpu = module.cpu_seconds() - cpu
    calls = backend_requests(backend.port) - before

    if calls < jobs:
        raise RuntimeError(f'{jobs} jobs, but only {calls} calls')

    # wrk does not count the answers that it did not wait for
    return calls / seconds, cpu / calls


def run_proxy(bench, proxy):
    cpu = proxy.cpu_seconds()
    result = wrk(bench, proxy.port, '/proxy/', 3)

    return (result['rate'],
            (proxy.cpu_seconds() - cpu) / result['requests'])


def compare(bench):
    """Both bars come from the same runs."""

    if 'jobs' in bench.shared:
        return bench.shared['jobs']

    rates = Comparison(max)
    cpu = Comparison(min)

    with instant_backend(bench) as backend, plain(bench, PROXY) as proxy, \
            with_module(bench, HTTP, SERVER) as module:

        for _ in range(bench.rounds):
            rate, each = None, None

            if module:
                module.clear()
                rate, each = run_jobs(bench, module, backend)

            proxy_rate, proxy_each = run_proxy(bench, proxy)
            rates.add(rate, proxy_rate)
            cpu.add(each, proxy_each)

    bench.shared['jobs'] = rates, cpu

    return rates, cpu


def measure_rate(bench):
    return [at_least(2, 'jobs/s accepted, run and stored / proxy_pass',
                     compare(bench)[0], 0.4, 0.6, '{:,.0f}/s'.format)]


def measure_cpu(bench):
    return [at_most(3, 'nginx CPU per job / per proxied request',
                    compare(bench)[1], 3, 2,
                    lambda s: f'{s * 1e6:.1f} us')]

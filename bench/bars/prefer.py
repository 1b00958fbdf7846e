"""Bar 10: "async prefer", and a client that does not ask for a job, against a
location without the module.  Many short runs, since the two are so close."""

from harness.compare import Comparison
from harness.load import wrk
from harness.report import at_least
from harness.server import PROXY, instant_backend, plain, with_module

SERVER = '''
        location /proxy/ {
            async prefer;
            proxy_pass http://instant;
        }
'''


def measure(bench):
    rates = Comparison(max)

    with instant_backend(bench), plain(bench, PROXY) as proxy, \
            with_module(bench, '', SERVER) as module:

        for i in range(bench.rounds * 8):
            if not module:
                rates.add(None, wrk(bench, proxy.port, '/proxy/', 1)['rate'])
                continue

            # each goes first in turns
            first, second = (module, proxy) if i % 2 else (proxy, module)
            rate = {first: wrk(bench, first.port, '/proxy/', 1)['rate']}
            rate[second] = wrk(bench, second.port, '/proxy/', 1)['rate']

            rates.add(rate[module], rate[proxy])

    return [at_least(10, 'async prefer, not asked for / no module', rates,
                     0.98, 1.0, '{:,.0f}/s'.format)]

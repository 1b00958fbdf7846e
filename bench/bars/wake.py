"""Bar 11: from the end of a call to the answer of a client held for it:
the submission itself, or J/wait in the same or in the other worker.  The
worst of the three counts."""

from harness.compare import Comparison
from harness.load import tool
from harness.report import limit
from harness.server import SlowBackend, plain, with_module

LANES = 16
EACH = 40
KINDS = ('held', 'same', 'other')

SERVER = '''
        location /job/ {
            async on;
            proxy_pass http://slow/delay/;
        }

        location /held/ {
            async on;
            async_wait 50s;
            proxy_pass http://slow/delay/;
        }
'''

PROXY = '''
        location /held/ {
            proxy_pass http://slow/delay/;
        }
'''


def wake(bench, nginx, kind):
    return tool(bench, 'wake', nginx.port, LANES, EACH, kind)


def measure(bench):
    quantiles = {(kind, q): Comparison(min) for kind in KINDS
                 for q in ('p50_ms', 'p99_ms')}

    with SlowBackend(bench), plain(bench, PROXY) as proxy, \
            with_module(bench, '', SERVER) as module:

        for _ in range(bench.rounds):
            proxied = wake(bench, proxy, 'held')

            for kind in KINDS:
                woken = wake(bench, module, kind) if module else {}

                for q in ('p50_ms', 'p99_ms'):
                    quantiles[kind, q].add(woken.get(q), proxied[q])

    return [row(quantiles, 'p50_ms', 'median', 2, 0.5),
            row(quantiles, 'p99_ms', '99 %', 10, 3)]


def row(quantiles, q, name, bar, aim):
    sides = [quantiles[kind, q] for kind in KINDS]
    plain_ms = f'proxy_pass {sides[0].plain.quietest:.2f} ms'
    target = f'<= {bar} ms (aim {aim} ms)'
    measure = f'end of a call to its held client, {name}'

    if not sides[0].module.samples:
        return limit(11, measure, target, None, bar, '- / ' + plain_ms)

    worst = max(side.module.quietest for side in sides)
    samples = [sample for side in sides for sample in side.module.samples]
    each = ', '.join(f'{kind} {side.module.quietest:.2f}'
                     for kind, side in zip(KINDS, sides))

    return limit(11, measure, target, worst, bar,
                 f'{each} ms / {plain_ms}',
                 f'{min(samples):.2f}..{max(samples):.2f} ms')

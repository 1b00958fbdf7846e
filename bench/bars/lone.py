"""Bar 13: one submission at a time on an idle server, against one synced LMDB
commit of a record of that size on the same disk."""

import os
import shutil

from harness.compare import Comparison
from harness.load import tool
from harness.report import at_most
from harness.server import instant_backend, with_module

COUNT = 150
PAUSE = 12          # milliseconds; the job has ended by then
SIZE = 1400         # the body of 1 KB, headers and the rest of the record

SERVER = '''
        location /run/ {
            async on;
            proxy_pass http://instant;
        }
'''


def commit(bench):
    directory = os.path.join(bench.dir, 'lmdb')
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)

    try:
        return tool(bench, 'commit', directory, COUNT, PAUSE, SIZE)['p50_ms']
    finally:
        shutil.rmtree(directory)


def measure(bench):
    latency = Comparison(min)

    with instant_backend(bench), with_module(bench, '', SERVER) as module:
        for _ in range(bench.rounds):
            latency.add(tool(bench, 'lone', module.port, COUNT, PAUSE,
                             '/run/', 202)['p50_ms'] if module else None,
                        commit(bench))

    return [at_most(13, 'lone submission to its 202 / one LMDB commit',
                    latency, 2, 1.2, '{:.3f} ms'.format)]

"""Bar 8: GET of stored results of 1 KB and 1 MB, against static files.

64 jobs fetch 64 files from the backend; their results are then read in
turns, and so are the same files from plain nginx."""

import os

from harness.client import Client
from harness.compare import Comparison
from harness.load import wrk
from harness.report import at_least
from harness.server import instant_backend, plain, with_module

COUNT = 64
SIZES = (('1 KB', 1024, 0.7, 0.9), ('1 MB', 1024 * 1024, 0.5, 0.8))

SERVER = '''
        location /file/ {
            async on;
            proxy_pass http://instant;
        }
'''


def make_files(directory, size):
    os.makedirs(directory, exist_ok=True)

    for i in range(COUNT):
        with open(os.path.join(directory, f'{size}-{i}'), 'wb') as f:
            f.write(os.urandom(size))


def write_list(bench, name, paths):
    """The file of paths that wrk/get.lua reads."""

    path = os.path.join(bench.dir, name)

    with open(path, 'w') as f:
        f.write('\n'.join(paths) + '\n')

    return path


def store_results(port, paths):
    """Makes a job of each; the paths of the results."""

    with Client(port) as client:
        results = [client.submit(path, 'GET') for path in paths]
        client.settle()

    return results


def check_result(port, result, size):
    with Client(port) as client:
        if len(client.get(result).body) != size:
            raise RuntimeError(f'{result} is not of {size} bytes')


def measure_size(bench, module, proxy, size):
    rates = Comparison(max)
    files = [f'/file/{size}-{i}' for i in range(COUNT)]
    file_list = write_list(bench, f'files-{size}', files)

    if module:
        results = store_results(module.port, files)
        check_result(module.port, results[0], size)
        result_list = write_list(bench, f'results-{size}', results)

    for _ in range(bench.rounds):
        rates.add(wrk(bench, module.port, '', 2, 'get.lua',
                      [result_list])['rate'] if module else None,
                  wrk(bench, proxy.port, '', 2, 'get.lua',
                      [file_list])['rate'])

    return rates


def measure(bench):
    rows = []
    files = os.path.join(bench.dir, 'files')

    static = f'''
        location /file/ {{
            alias {files}/;
        }}
'''

    for _, size, _, _ in SIZES:
        make_files(files, size)

    with instant_backend(bench, files), plain(bench, static) as proxy, \
            with_module(bench, '', SERVER) as module:

        for name, size, bar, aim in SIZES:
            rates = measure_size(bench, module, proxy, size)
            rows.append(at_least(8, f'GET J/result, {name} / static file',
                                 rates, bar, aim, '{:,.0f}/s'.format))

    return rows

"""The load generators: wrk, and the tools of tools/."""

import json
import os
import subprocess

from .bench import BENCH


def wrk(bench, port, path, seconds, script='post.lua', args=()):
    """64 connections for some seconds; what wrk/report.lua prints.  An answer
    that is an error, or none, spoils the run."""

    output = bench.run(['wrk', '-t2', '-c64', f'-d{seconds}s',
                        '--timeout', '10s', '-s', os.path.join(BENCH, 'wrk', script),
                        f'http://127.0.0.1:{port}{path}',
                        *(['--', *args] if args else [])],
                       timeout=seconds + 20)

    result = json.loads(output.split('JSON ', 1)[1])

    if result['bad_status'] or result['errors'] or not result['requests']:
        raise RuntimeError(f'wrk on {path}: {result}')

    result['rate'] = result['requests'] / result['seconds']

    return result


def tool(bench, name, *args):
    """Runs a tool of tools/ to its end; the JSON that it prints."""

    command = [bench.tool(name), *map(str, args)]

    return json.loads(bench.run(command, timeout=70))


class Crowd:
    """tools/crowd.c: many clients with one request each, all at once.  They
    are connected when it is entered, and send on go()."""

    def __init__(self, bench, port, count, method, path, seconds=60):
        self.command = [bench.tool('crowd'), str(port), str(count),
                        str(seconds), method, path]
        self.bench = bench
        self.count = count

    def __enter__(self):
        self.bench.log_command(self.command)
        self.process = subprocess.Popen(self.command, text=True,
                                        stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        stderr=self.bench.output)

        if self.process.stdout.readline() != 'connected\n':
            raise RuntimeError(f'crowd: see {self.bench.output.name}')

        return self

    def __exit__(self, *args):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def go(self):
        self.process.stdin.write('\n')
        self.process.stdin.flush()

    def result(self, status):
        """Waits for all answers; all must have this status."""

        line = self.process.stdout.readline()

        if not line:
            raise RuntimeError(f'crowd: see {self.bench.output.name}')

        result = json.loads(line)

        if result['status'] != {str(status): self.count}:
            raise RuntimeError(f'crowd of {self.count}: {result}')

        return result

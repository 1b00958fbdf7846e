"""The servers of a measurement: nginx, with or without the module, and
the backends.  Each is a process of this run, and ends with it."""

import contextlib
import ctypes
import glob
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

from . import process
from .client import wait_for

MAIN = '''\
{user}worker_processes {workers};
worker_rlimit_nofile {nofile};
daemon off;
pid nginx.pid;
error_log error.log warn;
{load_module}
events {{
    worker_connections {connections};
}}

http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    default_type application/octet-stream;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;

    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
{http}
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096;
{server}
    }}
}}
'''

# for nginx under test and plain nginx alike
UPSTREAMS = '''
    upstream instant {{
        server 127.0.0.1:{instant};
        keepalive 256;
        keepalive_requests 1000000000;
    }}

    upstream slow {{
        server 127.0.0.1:{slow};
    }}

    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 1h;
'''

# what the module is compared with
PROXY = '''
        location /proxy/ {
            proxy_pass http://instant;
        }
'''

PID = '''
        location = /pid {
            return 200 $pid;
        }
'''

JOBS = '''
        location /jobs/ {
            async_jobs;
        }

        location = /metrics {
            async_metrics;
        }
'''

# seconds for a server to end by itself, for a worker without its master, and
# for all of it: to unmap gigabytes of a store takes long
STOP = 20
STOP_WORKER = 5
STOP_ALL = 120


def _die_with_parent():
    """In the child: an interrupted run leaves nothing behind."""

    ctypes.CDLL(None).prctl(1, signal.SIGTERM)      # PR_SET_PDEATHSIG


def _environment():
    """nginx takes a variable of this name for sockets to inherit."""

    return {name: value for name, value in os.environ.items()
            if name != 'NGINX'}


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) == 0


class Server:
    """A process that listens on a port."""

    def __init__(self, bench, port):
        self.bench = bench
        self.port = port
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *args):
        self.stop()

    def spawn(self):
        if listening(self.port):
            raise RuntimeError(f'port {self.port} is in use: set BENCH_PORT '
                               'to the first of four free ports')

        command = self.command()
        self.bench.log_command(command)
        self.process = subprocess.Popen(command, env=_environment(),
                                        stdin=subprocess.DEVNULL,
                                        stdout=self.bench.output,
                                        stderr=self.bench.output,
                                        preexec_fn=_die_with_parent)

    def start(self):
        self.spawn()
        wait_for(self._up, 30, 0.01, f'{self.command()[0]} to listen')

    def _up(self):
        if self.process.poll() is not None:
            raise RuntimeError(self.why_ended())

        return listening(self.port)

    def why_ended(self):
        return f'{self.command()[0]} ended, see {self.bench.output.name}'

    def pids(self):
        return [self.process.pid] + process.children(self.process.pid)

    def stop(self, how=signal.SIGTERM):
        """Ends all processes of the server, and waits for them."""

        if self.process is None:
            return

        deadline = time.monotonic() + STOP_ALL
        workers = self.pids()[1:]

        self.process.send_signal(how)

        if how == signal.SIGKILL:
            for pid in workers:
                _kill(pid)

        try:
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

        for pid in workers:
            self._end_worker(pid, deadline)

        self.process = None

    def _end_worker(self, pid, deadline):
        """A worker outlives a master that was killed."""

        if not self._ended(pid, time.monotonic() + STOP_WORKER):
            _kill(pid)

            if not self._ended(pid, deadline):
                raise TimeoutError(f'process {pid} of {self.command()[0]} '
                                   f'has not ended within {STOP_ALL} s')

    @staticmethod
    def _ended(pid, deadline):
        while process.alive(pid):
            if time.monotonic() > deadline:
                return False

            time.sleep(0.002)

        return True


class SlowBackend(Server):
    """tools/backend.c"""

    def __init__(self, bench):
        super().__init__(bench, bench.port(3))

    def command(self):
        return [self.bench.tool('backend'), str(self.port), '620']


class Nginx(Server):
    """nginx with a configuration in a directory of its own."""

    def __init__(self, bench, name, port, http='', server='', module=False,
                 workers=2):
        super().__init__(bench, port)

        self.dir = os.path.join(bench.dir, name)
        self.store = os.path.join(self.dir, 'store')

        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)

        load = f'load_module {bench.module};\n' if module and bench.module \
            else ''

        with open(os.path.join(self.dir, 'nginx.conf'), 'w') as f:
            f.write(MAIN.format(
                user='user root;\n' if os.geteuid() == 0 else '',
                workers=workers, nofile=bench.nofile,
                connections=min(16384, bench.nofile), load_module=load,
                http=http.replace('STORE', self.store), server=server,
                port=port))

    def command(self):
        return [self.bench.nginx, '-p', self.dir, '-c', 'nginx.conf']

    def logged(self, *levels):
        """Lines of the error log."""

        with open(os.path.join(self.dir, 'error.log'), errors='replace') as f:
            return [line.strip() for line in f
                    if any(f'[{level}]' in line for level in levels)]

    def why_ended(self):
        lines = self.logged('emerg')

        return lines[-1] if lines else super().why_ended()

    def cpu_seconds(self):
        return process.cpu_seconds(self.pids())

    def private_bytes(self):
        return process.private_bytes(self.pids(), self.store)

    def clear(self):
        """Stops, and starts again with an empty store."""

        self.stop()
        self.remove_store()
        self.start()

    def renew(self):
        """The same, but the old store is only set aside, until
        remove_store()."""

        self.stop()

        if os.path.exists(self.store):
            os.rename(self.store, f'{self.store}.{len(self._stores())}')

        self.start()

    def _stores(self):
        return glob.glob(self.store + '*')

    def remove_store(self):
        for store in self._stores():
            shutil.rmtree(store, ignore_errors=True)

    def __exit__(self, *args):
        super().__exit__(*args)
        self.remove_store()

        lines = self.logged('emerg', 'alert', 'crit', 'error')

        if lines:
            print(f'bar {self.bench.bar}: {len(lines)} errors in '
                  f'{self.dir}/error.log: {lines[0]}', file=sys.stderr)


def instant_backend(bench, root=None):
    """nginx that answers at once; with "root", also its files."""

    files = f'''
        location /file/ {{
            alias {root}/;
        }}
''' if root else ''

    server = '''
        location / {
            return 200 '{"status":"done","rows":1000}';
        }

        location = /stub_status {
            stub_status;
        }
''' + files

    return Nginx(bench, 'instant', bench.port(2), server=server, workers=1)


def plain(bench, server):
    """nginx without the module."""

    return Nginx(bench, 'plain', bench.port(1), upstreams(bench), PID + server)


def with_module(bench, http, server, name='module', port=0):
    """nginx with the module and an empty store; without the module's side,
    a context of None."""

    if bench.plain:
        return contextlib.nullcontext()

    http = '\n    async_store STORE size=32g;\n' + http

    return Nginx(bench, name, bench.port(port), upstreams(bench) + http,
                 PID + JOBS + server, module=True)


def upstreams(bench):
    return UPSTREAMS.format(instant=bench.port(2), slow=bench.port(3))

"""A run of the benchmark: its directories, ports, programs and time."""

import contextlib
import fcntl
import os
import resource
import shlex
import signal
import subprocess
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BENCH = os.path.join(TOP, 'bench')
BUILD = os.path.join(TOP, 'build', 'bench')


class Bench:
    """Everything the bars share.  "module" is a path, empty for a module
    that is linked into nginx; "plain" leaves the module's side out."""

    def __init__(self, plain, rounds):
        self.plain = plain
        self.rounds = rounds
        self.nginx = os.environ.get('NGINX') or '/usr/sbin/nginx'
        self.module = os.environ.get('NGX_ASYNC_MODULE', os.path.join(
            TOP, 'build', 'ngx_async_module.so'))
        self.first_port = int(os.environ.get('BENCH_PORT', '28080'))
        self.nofile = _raise_nofile()
        self.commands = {}          # bar -> commands that measured it
        self.bar = None
        self.dir = BUILD
        self.shared = {}            # what one bar leaves for another
        self.at_end = contextlib.ExitStack()    # to clear up

        os.makedirs(BUILD, exist_ok=True)
        self.lock = open(os.path.join(BUILD, 'lock'), 'w')

        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit('bench: another run is under way')

        if not plain and self.module and not os.path.exists(self.module):
            raise SystemExit(f'bench: no {self.module}: run "make" first, or '
                             'measure plain nginx alone with --plain')

        self._build_tools()

    def _build_tools(self):
        tools = os.path.join(BUILD, 'bin')
        os.makedirs(tools, exist_ok=True)
        subprocess.run(['make', '-s', '-f',
                        os.path.join(BENCH, 'tools', 'Makefile'),
                        f'OUT={tools}'], check=True)

    def begin(self, bar):
        """What follows belongs to this bar."""

        self.bar = bar
        self.dir = os.path.join(BUILD, str(bar))
        os.makedirs(self.dir, exist_ok=True)
        self.output = open(os.path.join(self.dir, 'output'), 'w')
        self.commands[bar] = []

    def port(self, n):
        """Ports: module, plain, instant backend, slow backend."""

        return self.first_port + n

    def tool(self, name):
        return os.path.join(BUILD, 'bin', name)

    def log_command(self, command):
        text = shlex.join(command).replace(TOP + '/', '')
        self.output.write(f'{time.strftime("%T")} $ {text}\n')
        self.output.flush()

        if text not in self.commands[self.bar]:
            self.commands[self.bar].append(text)

    def run(self, command, timeout):
        """Runs a command to its end; its output."""

        self.log_command(command)

        done = subprocess.run(command, cwd=TOP, timeout=timeout, text=True,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        self.output.write(done.stdout)
        self.output.flush()

        if done.returncode:
            why = done.stdout.strip() or (
                'out of time' if done.returncode == -signal.SIGALRM
                else f'exit status {done.returncode}')
            raise RuntimeError(f'{os.path.basename(command[0])}: {why}')

        return done.stdout


def _raise_nofile():
    """As many descriptors as this user may have: 10,000 clients and as many
    connections to the backend need 20,000 in each of two workers at worst."""

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    return hard

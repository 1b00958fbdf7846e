"""What the figures were measured on."""

import os
import platform
import re
import subprocess
import time


def describe(bench):
    """Lines of text."""

    return [f'{os.cpu_count()} cores, {_cpu()}, load generators and backends '
            'on the same cores',
            f'{_memory_gib():.0f} GiB of memory, Linux {platform.release()}',
            f'store on {_filesystem(bench.dir)}; {_disk(bench.dir)}',
            f'{_nginx(bench.nginx)}, 2 workers; {_first_line("wrk", "-v")}']


def _read(path):
    with open(path) as f:
        return f.read()


def _cpu():
    found = re.search(r'model name\s*: (.*)', _read('/proc/cpuinfo'))
    virtual = ' (virtual machine)' if 'hypervisor' in _read('/proc/cpuinfo') \
        else ''

    return (found.group(1) if found else platform.machine()) + virtual


def _memory_gib():
    return int(re.search(r'MemTotal:\s*(\d+)',
                         _read('/proc/meminfo')).group(1)) / 1024 / 1024


def _filesystem(path):
    """The type of the file system that a path is on."""

    best = ('', '?')
    path = os.path.realpath(path) + '/'

    for line in _read('/proc/self/mounts').splitlines():
        fields = line.split()
        mount = fields[1].rstrip('/') + '/'

        if path.startswith(mount) and len(mount) >= len(best[0]):
            best = (mount, fields[2])

    if best[1] in ('tmpfs', 'ramfs', 'overlay'):
        print(f'bench: the store is on {best[1]}: its figures tell nothing '
              'of a disk')

    return best[1]


def _disk(directory):
    """How fast the disk is: small synced writes, and a large one."""

    path = os.path.join(directory, 'disk')
    fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_TRUNC)

    try:
        page = os.urandom(4096)
        small = sorted(_synced(fd, [page]) for _ in range(200))

        # the first time, a virtual disk may have to find room on its host
        blocks = [os.urandom(1 << 20)] * 256
        large = [_synced(fd, blocks) for _ in range(3)]

    finally:
        os.close(fd)
        os.unlink(path)

    return (f'4 KiB written and synced in {small[100] * 1e3:.2f} ms (median), '
            f'256 MiB at {256 / large[0]:,.0f} MiB/s the first time, '
            f'{256 / min(large):,.0f} MiB/s over it')


def _synced(fd, blocks):
    """Seconds to write the beginning of a file, and sync it."""

    start = time.monotonic()
    os.lseek(fd, 0, os.SEEK_SET)

    for block in blocks:
        os.write(fd, block)

    os.fdatasync(fd)

    return time.monotonic() - start


def _nginx(binary):
    output = subprocess.run([binary, '-v'], stderr=subprocess.PIPE, text=True)

    return output.stderr.split(': ', 1)[1].strip()


def _first_line(*command):
    output = subprocess.run(command, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True).stdout

    return output.split('[')[0].strip()

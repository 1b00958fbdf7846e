"""What the kernel knows of processes."""

import os


def children(pid):
    """The direct children of a process."""

    found = []

    for entry in os.listdir('/proc'):
        if entry.isdigit() and _parent(entry) == pid:
            found.append(int(entry))

    return found


def _parent(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return int(f.read().rsplit(')', 1)[1].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


def cpu_seconds(pids):
    """CPU time of all threads: the first number of /proc/PID/task/*/schedstat,
    which is in nanoseconds where /proc/PID/stat counts ticks of 10 ms."""

    total = 0

    for pid in pids:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/schedstat') as f:
                total += int(f.read().split()[0])

    return total / 1e9


def private_bytes(pids, apart_from):
    """Private memory: the sum of Private_Clean and Private_Dirty of
    /proc/PID/smaps, as in smaps_rollup, but without mappings of files below
    the directory "apart_from": pages of the store are the kernel's cache,
    and count as private only as long as one process alone has them mapped."""

    total = 0

    for pid in pids:
        counts = True

        with open(f'/proc/{pid}/smaps') as f:
            for line in f:
                fields = line.split()

                if not fields[0].endswith(':'):
                    path = ' '.join(fields[5:])
                    counts = not path.startswith(apart_from)

                elif counts and fields[0] in ('Private_Clean:',
                                              'Private_Dirty:'):
                    total += int(fields[1]) * 1024

    return total


def stolen_and_total():
    """Jiffies that the hypervisor took from this machine, and all."""

    with open('/proc/stat') as f:
        fields = [int(n) for n in f.readline().split()[1:9]]

    return fields[7], sum(fields)

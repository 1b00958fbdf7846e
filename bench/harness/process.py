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
    """Whether any of its threads is: until the last one has ended, its memory
    and its sockets are there, also if it is called a zombie by then."""

    try:
        tasks = os.listdir(f'/proc/{pid}/task')
    except (FileNotFoundError, ProcessLookupError):
        return False

    return any(_state(f'/proc/{pid}/task/{task}') not in 'XZ'
               for task in tasks)


def _state(path):
    try:
        with open(f'{path}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return 'X'


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


NOISE = 10          # per cent


class Machine:
    """Who used the processor, from now on: besides this run with all its
    children, which must have ended, the hypervisor and everybody else."""

    def __init__(self):
        self.start = self._now()

    @staticmethod
    def _now():
        with open('/proc/stat') as f:
            jiffies = [int(n) for n in f.readline().split()[1:9]]

        # interrupts, those of this run's network too, are nobody's
        user, nice, system = jiffies[:3]
        own = sum(os.times()[:4]) * os.sysconf('SC_CLK_TCK')

        return sum(jiffies), jiffies[7], user + nice + system - own

    def describe(self):
        total, steal, others = [now - then for now, then
                                in zip(self._now(), self.start)]
        steal, others = 100 * steal / total, 100 * max(0, others) / total

        return (f'of the processor time during the run, {steal:.1f} % went to '
                f'the hypervisor and {others:.1f} % to other processes and '
                'the kernel\'s threads'
                + (': **the machine was not quiet**' if steal + others > NOISE
                   else ''))

"""The table of results."""

HEAD = ('#', 'measure', 'target', 'measured', 'ratio', 'spread', 'pass')


class Row:
    """One requirement of a bar.  "ok" is None where it was not measured."""

    def __init__(self, bar, measure, target, measured='', ratio=None,
                 spread='', ok=None):
        self.bar = bar
        self.ok = ok
        self.cells = (str(bar), measure, target, measured,
                      '' if ratio is None else f'{ratio:.2f}', spread,
                      {None: '-', True: 'yes', False: 'NO'}[ok])


def at_least(bar, measure, comparison, bar_ratio, aim, form):
    """A row whose ratio must not be lower."""

    ratio = comparison.ratio

    return Row(bar, measure, f'>= {bar_ratio} (aim {aim})',
               comparison.measured(form), ratio, comparison.spread,
               None if ratio is None else ratio >= bar_ratio)


def at_most(bar, measure, comparison, bar_ratio, aim, form):
    """A row whose ratio must not be higher."""

    ratio = comparison.ratio

    return Row(bar, measure, f'<= {bar_ratio} x (aim {aim} x)',
               comparison.measured(form), ratio, comparison.spread,
               None if ratio is None else ratio <= bar_ratio)


def limit(bar, measure, target, value, bound, measured, spread=''):
    """A row with an absolute bound, not a ratio."""

    return Row(bar, measure, target, measured, None, spread,
               None if value is None else value <= bound)


def table(rows):
    """For a terminal, and valid Markdown."""

    lines = [HEAD] + [row.cells for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]

    def join(cells):
        return '| ' + ' | '.join(c.ljust(w)
                                 for c, w in zip(cells, widths)) + ' |'

    rule = '| ' + ' | '.join('-' * w for w in widths) + ' |'

    return '\n'.join([join(HEAD), rule] + [join(row.cells) for row in rows])


def document(rows, machine, commands, seconds):
    """RESULTS.md"""

    parts = ['# Results', '',
             'Written by `make bench`. Where two figures are measured, the '
             'first is with the module, the', 'second is plain nginx beside '
             'it; the ratio is the first over the second. Both are the',
             'quietest of several runs; the spread is the lowest and highest '
             'ratio of one pair of runs.',
             '', table(rows), '', '## Machine', '']
    parts += [f'- {line}' for line in machine]
    parts += ['', f'The whole run took {seconds:.0f} s.', '', '## Commands',
              '', 'One bar is measured again with `bench/run N`. It runs '
              'these commands, and leaves the', 'configurations, and the '
              'output of each command, in `build/bench/N`.', '']

    for bar, lines in commands.items():
        parts += [f'### {bar}', '', '```', *lines, '```', '']

    return '\n'.join(parts)

"""Rounds of a measurement, the module's beside plain nginx's."""


class Side:
    """Samples of one side.  The quietest is what counts: other work on the
    machine makes a figure only worse."""

    def __init__(self, best):
        self.best = best
        self.samples = []

    def add(self, sample):
        self.samples.append(sample)

    @property
    def quietest(self):
        return self.best(self.samples) if self.samples else None


class Comparison:
    """The same measure on both sides.  "best" is max for rates, and min for
    times and sizes."""

    def __init__(self, best):
        self.module = Side(best)
        self.plain = Side(best)

    def add(self, module, plain):
        """A round: figures taken one after the other."""

        if module is not None:
            self.module.add(module)

        self.plain.add(plain)

    @property
    def ratio(self):
        if not self.module.samples:
            return None

        return self.module.quietest / self.plain.quietest

    @property
    def spread(self):
        """Lowest and highest ratio of one round."""

        return spread([m / p for m, p in zip(self.module.samples,
                                             self.plain.samples)])

    def measured(self, form):
        """Both figures as text."""

        return (f'{text(self.module.quietest, form)} / '
                f'{text(self.plain.quietest, form)}')


def text(value, form):
    return '-' if value is None else form(value)


def spread(values, form='{:.2f}'.format):
    if not values:
        return ''

    return f'{form(min(values))}..{form(max(values))}'

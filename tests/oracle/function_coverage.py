"""Which functions of a library the cases call while they compute what is wanted, and which not.

Whatever is used to make inputs does not count: only calls whose results are compared.
"""


class Coverage:
    def __init__(self):
        self.names, self.called, self.on = {}, set(), False
        self.wrapped = {}

    def __enter__(self):
        self.on = True

    def __exit__(self, *_):
        self.on = False

    def note(self, name):
        if self.on:
            self.called.add(name)

    def wrapper(self, function, name, of_result=False):
        """Notes calls of the function, or of the function that it returns."""

        def call(*args, **kwargs):
            made = function(*args, **kwargs)
            if not of_result:
                self.note(name)
                return made
            return self.wrapper(made, name)

        return call

    def expose(self, owner, name, shown, of_result=False):
        """Puts a noting function in place; one object with several names is one function."""
        function = getattr(owner, name)
        if id(function) not in self.wrapped:
            self.wrapped[id(function)] = (self.wrapper(function, shown, of_result), shown, function)
        noting, self.names[shown], _ = self.wrapped[id(function)]
        setattr(owner, name, noting)

    def functions(self, module, prefix="", of_result=False, only=None):
        for name, value in list(vars(module).items()):
            if name.startswith("_") or not callable(value) or isinstance(value, type):
                continue
            if only is None or only(value):
                self.expose(module, name, prefix + name, of_result)

    def members(self, cls, prefix, left_out):
        """Methods, operators and properties of a class."""
        for name in dir(cls):
            if name in left_out or getattr(cls, name) is getattr(object, name, None):
                continue
            if callable(getattr(cls, name)):
                self.expose(cls, name, prefix + name)
            elif not name.startswith("__"):
                self.property(cls, name, prefix + name)

    def property(self, cls, name, shown):
        getter = getattr(cls, name).__get__

        def read(self_):
            self.note(shown)
            return getter(self_)

        self.names[shown] = shown
        setattr(cls, name, property(read))

    def class_calls(self, cls, method, shown):
        """An object of the class counts as called when its method runs."""
        inner = getattr(cls, method)

        def call(self_, *args, **kwargs):
            if type(self_) is cls:
                self.note(shown)
            return inner(self_, *args, **kwargs)

        self.names[shown] = shown
        setattr(cls, method, call)

    def problems(self, reasons):
        """Lines: what is neither called nor in {reason: names}, and what is in it for nothing."""
        excused = {name: reason for reason, names in reasons for name in names.split()}
        for name in sorted(set(self.names) | set(excused)):
            called = self.names.get(name) in self.called
            if name not in self.names:
                yield f"{name}: not exposed, but excused: {excused[name]}"
            elif called and name in excused:
                yield f"{name}: called, but excused: {excused[name]}"
            elif not called and name not in excused:
                yield f"{name}: no case calls it, and there is no reason why"

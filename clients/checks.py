"""Runs checks one after the other and counts them."""

import sys
import traceback

SAID = "ask not what your country can do for you"


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def run(self, *functions):
        for function in functions:
            try:
                function()
            except Exception:
                self.failed += 1
                print(f"FAILED {function.__name__}", flush=True)
                traceback.print_exc()
            else:
                self.passed += 1
                print(f"ok {function.__name__}", flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.exit(1 if self.failed or not self.passed else 0)


def raises(kind, call):
    """The exception of that class, and of no class derived from it, that the call raises."""
    try:
        result = call()
    except Exception as error:
        assert type(error) is kind, f"{type(error).__name__} in place of {kind.__name__}: {error}"
        return error
    raise AssertionError(f"no {kind.__name__} but {result!r}")


def said(text):
    """Whether the sentence of the recording is in the text, whatever its punctuation."""
    plain = "".join(c for c in text.lower() if c.isalnum() or c == " ")
    return SAID in " ".join(plain.split())


def steady(times):
    """Whether starts and ends are in order."""
    flat = [t for start, end in times for t in (start, end)]
    return bool(flat) and all(a <= b for a, b in zip(flat, flat[1:]))

"""What a client has run and found, told to the test as one JSON document."""

import json
import sys

RAN = []


def ran(*names):
    """Notes what has been run and held to what it should do."""
    RAN.extend(n for n in names if n not in RAN)


def tell(**found):
    json.dump({"ran": RAN, **found}, sys.stdout)


def raises(want, call, status=None):
    """Fails unless call raises that class or one of its heirs, and by that status."""
    try:
        got = call()
    except Exception as e:
        assert want in [c.__name__ for c in type(e).__mro__], f"{type(e).__mro__} for {want}: {e}"
        response = getattr(e, "response", None)
        if status is not None:
            assert response is not None and response.status_code == status, f"{response} for {status}: {e}"
        return e
    raise AssertionError(f"{want} is not raised: {got!r}")

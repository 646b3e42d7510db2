"""Addresses that a server of ours listens on: this machine only, unless asked otherwise."""

import errno
import socket

from backbones.training.errors import UserError

EVERYWHERE = ("0.0.0.0", "::")


def require_address(host: str, port: int, least: int = 1) -> None:
    """ValueError, for a config, unless these can be an address and a port."""
    if not host.strip():
        raise ValueError(
            "host is empty, which would serve on all networks; give an address of this "
            "machine, such as 127.0.0.1, or 0.0.0.0 if all are meant"
        )
    if not least <= port < 65536:
        raise ValueError(f"port = {port} must lie between {least} and 65535")


def bind(host: str, port: int) -> socket.socket:
    """Return a socket of an address of this machine; UserError, with the remedy, for any other, or
    where the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except (UnicodeError, socket.gaierror):
        bound.close()
        raise UserError(f"host {host!r} is no address; give one such as 127.0.0.1") from None
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(
                f"host {host!r} is not an address of this machine; give one that is, such "
                "as 127.0.0.1"
            ) from None
        raise UserError(
            f"port {port} on {host} cannot be used ({error.strerror}); "
            f"try --port {port % 65535 + 1}"
        ) from None
    # "0" and "0x0" are 0.0.0.0 as well.
    address = bound.getsockname()[0]
    if address in EVERYWHERE and host not in EVERYWHERE:
        bound.close()
        raise UserError(
            f"host {host!r} would serve on all networks; give 127.0.0.1 for this machine "
            f"only, or {address} if all are meant"
        )
    return bound

"""What an error of the operating system means for a run that reads a file: one table over errno."""

from __future__ import annotations

import errno
import os
from typing import Final

from server.core.errors import FatalError, InvalidRequestError, RetryableError, SyncError
from server.core.reasons import Category, Reason

_MISSING: Final = frozenset({errno.ENOENT, errno.EACCES, errno.EPERM})
_NO_FILE: Final = frozenset({errno.EISDIR, errno.ENXIO, errno.ENODEV})
_LEADS_OUT: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG})
# A failing disk or network folder, and limits that other processes have used up.
_PASSING: Final = {
    errno.EIO: "check the disk or the network folder that the file lies on",
    errno.ESTALE: "check that the network folder is mounted",
    errno.ETIMEDOUT: "check that the network folder answers",
    errno.EHOSTDOWN: "check that the server of the network folder runs",
    errno.ENOTCONN: "check that the network folder is mounted",
    errno.EAGAIN: "wait for the retry",
    errno.EINTR: "wait for the retry",
    errno.EMFILE: "raise the service's limit of open files (ulimit -n)",
    errno.ENFILE: "raise the machine's limit of open files",
    errno.ENOSPC: "free space in the temporary folder of the service",
    errno.EDQUOT: "free space in the temporary folder of the service",
    errno.ENOMEM: "give the service more memory",
}


def file_error(error: OSError) -> SyncError:
    """Our error for one of the operating system; the text names what failed, without the path."""
    number = error.errno or 0
    said = os.strerror(number) if number else type(error).__name__
    if number in _MISSING:
        return InvalidRequestError(Reason.SOURCE_NOT_FOUND, f"the file does not exist or may not be read ({said})")
    if number in _LEADS_OUT:
        return InvalidRequestError(Reason.SOURCE_FORBIDDEN, f"the path leads where no file may be read ({said})")
    if number in _NO_FILE:
        return InvalidRequestError(Reason.SOURCE_UNSUPPORTED, f"the path is no regular file ({said})")
    if number in _PASSING:
        return RetryableError(
            Reason.SOURCE_UNAVAILABLE,
            f"the file could not be read on ({said}); what was committed stays",
            category=Category.SYSTEM,
            next_step=_PASSING[number],
        )
    return FatalError(Reason.INTERNAL, f"the operating system refused a step ({said})", category=Category.SYSTEM)

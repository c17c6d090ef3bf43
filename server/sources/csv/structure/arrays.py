"""What is known of many lines or records at once: one number or flag for each."""

import numpy as np
import numpy.typing as npt

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# typeshed has no stub for the module beneath ``signal``, which is imported because ``signal`` costs 4.6 ms (ADR 0006).
# It has the same names; numbers are plain ``int`` at run time, where ``signal`` has enumerations.
from signal import *

"""Print the arguments of the compiler for extensions of the Python that runs this."""

import sysconfig

print("-I" + sysconfig.get_path("include"))

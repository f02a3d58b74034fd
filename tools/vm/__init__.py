"""``vmrun``: one command on a throw-away kernel, from Debian packages, without KVM and without installing a kernel.

Cast: the *host* is the machine that ``vmrun`` was started on; the *guest* is the kernel that it boots; the *command* is
what the guest runs. ``main`` reads the command line; ``kernels`` knows what can be booted; ``apt``, ``unpack`` and
``fetch`` bring a kernel into the cache; ``machines`` makes command lines (pure) and ``boot`` runs them; ``guest`` is
what the guest starts first, with the plan of its cgroups from ``layouts`` (pure).

Only the standard library is used, because the guest starts Debian's own interpreter without any package.
"""

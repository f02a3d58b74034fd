"""The gateway: the process in the host's network that connects a sandbox with the hosts that were allowed.

The sandbox's network namespace is empty. Sockets that listen in it were made there by init, at addresses that stand for
the allowed hosts, and came here as descriptors. The gateway answers the name look-ups of the sandbox, accepts its
connections, makes one to the real host for each, and moves the bytes. It decides by the name that was allowed and by
nothing that the command sends, and no socket of the host's network enters the sandbox.

::

    1  supervisor → gateway   "serve"; descriptors: memfd with what is allowed, memfd for numbers
    2  supervisor → gateway   "sockets" last; descriptors from init
    3  gateway → supervisor   "ready"
    4  supervisor → gateway   "end"   no process of the sandbox is left
    5  gateway → supervisor   "done"  the report is in the memfd for numbers

It ends when the supervisor does, by whatever cause.
"""

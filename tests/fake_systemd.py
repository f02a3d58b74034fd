"""A systemd that knows one method, for tests: ``fake_systemd.py ADDRESS BEHAVIOUR [DIRECTORY]``.

It takes the name of systemd on a bus, prints "ready", and answers StartTransientUnit as it is told: ``move`` makes a
cgroup in DIRECTORY, gives it to the caller of the method as ``Delegate=yes`` does, and moves the processes in; ``early``
does that and says so before it answers; ``lie`` says that it has; ``fail`` says that it could not; ``refuse`` answers
with an error; ``silent`` never answers; ``forget`` answers and never says that it is done; ``hang-up`` ends.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from jeepney import DBusAddress, HeaderFields, Message, message_bus, new_error, new_method_call, new_method_return
from jeepney import new_signal as signal_of
from jeepney.io.blocking import DBusConnection, open_dbus_connection

NAME, PATH, MANAGER = "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"
JOB = "/org/freedesktop/systemd1/job/42"


def uid_of(bus: DBusConnection, sender: str) -> int:
    daemon = DBusAddress("/org/freedesktop/DBus", bus_name="org.freedesktop.DBus", interface="org.freedesktop.DBus")
    answer = bus.send_and_get_reply(new_method_call(daemon, "GetConnectionUnixUser", "s", (sender,)), timeout=20)
    return int(answer.body[0])


def move(bus: DBusConnection, call: Message, directory: str) -> None:
    name, mode, properties, _ = call.body
    given = {key: content for key, (_, content) in properties}
    assert mode == "fail"
    assert given["Delegate"] is True
    scope = Path(directory, name)
    scope.mkdir()
    uid = uid_of(bus, call.header.fields[HeaderFields.sender])
    for path in (scope, scope / "cgroup.procs", scope / "cgroup.subtree_control", scope / "cgroup.threads"):
        os.chown(path, uid, uid)
    for pid in given["PIDs"]:
        (scope / "cgroup.procs").write_text(str(pid), encoding="ascii")


def answer(bus: DBusConnection, call: Message, behaviour: str, directory: str) -> None:
    manager = DBusAddress(PATH, interface=MANAGER)
    name = call.body[0]
    result = "failed" if behaviour == "fail" else "done"
    removed = signal_of(manager, "JobRemoved", "uoss", (42, JOB, name, result))
    reply = new_method_return(call, "o", (JOB,))
    other = signal_of(manager, "JobRemoved", "uoss", (41, JOB[:-2] + "41", "other.scope", "failed"))
    if behaviour in ("move", "early"):
        move(bus, call, directory)
    if behaviour == "refuse":
        bus.send(new_error(call, "org.freedesktop.DBus.Error.AccessDenied", "s", ("Access denied.",)))
    elif behaviour == "hang-up":
        sys.exit(0)
    elif behaviour == "early":
        for message in (other, removed, reply):
            bus.send(message)
    elif behaviour != "silent":
        for message in (other, reply) if behaviour == "forget" else (other, reply, other, removed):
            bus.send(message)


def main() -> None:
    _, address, behaviour, *directory = sys.argv
    bus = open_dbus_connection(address)
    bus.send_and_get_reply(message_bus.RequestName(NAME), timeout=20)
    print("ready", flush=True)
    while True:
        message = bus.receive()
        if message.header.fields.get(HeaderFields.member) == "StartTransientUnit":
            answer(bus, message, behaviour, "".join(directory))


if __name__ == "__main__":
    main()

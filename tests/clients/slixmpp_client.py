"""Real XMPP clients, driven over standard input and output.

One process carries any number of sessions. Every line of input is a command, a JSON object with `session`, `id` and
`do`; every line of output is a JSON object with `session` and either `reply` (the id of the command, with `ok` and
`value` or `error`), `stanza` (something the server sent) or `closed` (the stream is gone).

An element is written as {"n": name, "ns": namespace, "a": attributes, "t": text, "c": children}.
"""

import asyncio
import json
import logging
import sys
import xml.etree.ElementTree as ET

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout, PresenceError
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import StanzaPath

from slixmpp_rooms import Rooms

XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def tree(element):
    """An element as plain data."""
    namespace, _, name = element.tag.rpartition("}")
    return {
        "n": name,
        "ns": namespace.lstrip("{"),
        "a": {("xml:lang" if key == XML_LANG else key): value for key, value in element.attrib.items()},
        "t": element.text or "",
        "c": [tree(child) for child in element],
    }


def emit(record):
    sys.stdout.write(json.dumps(record) + "\n")
    sys.stdout.flush()


class Session(Rooms, slixmpp.ClientXMPP):
    """One logged-in user: what the library receives is reported, what we are told is done."""

    def __init__(self, name, jid, password):
        super().__init__(jid, password)
        self.name = name
        self.ready = asyncio.get_running_loop().create_future()
        self.enable_starttls = False
        self.enable_direct_tls = False
        self.enable_plaintext = True
        self.plugin["feature_mechanisms"].unencrypted_plain = True
        self.plugin["feature_mechanisms"].unencrypted_scram = True
        self.registers_plugins()
        self.auto_reconnect = False
        path = StanzaPath("presence@type=error")
        self.register_handler(Callback("AnyError", path, lambda error: self.event("any_presence_error", error)))
        self.add_filter("in", self.report)
        self.add_event_handler("session_start", self.started)
        self.add_event_handler("failed_all_auth", self.refused)
        self.add_event_handler("disconnected", self.closed)

    tree = staticmethod(tree)

    def report(self, stanza):
        if stanza.name in ("message", "presence", "iq"):
            emit({"session": self.name, "stanza": tree(stanza.xml)})
        return stanza

    def started(self, _event):
        self.send_presence()
        if not self.ready.done():
            self.ready.set_result(str(self.boundjid))

    def refused(self, _event):
        if not self.ready.done():
            self.ready.set_exception(RuntimeError("authentication refused"))

    def closed(self, reason):
        emit({"session": self.name, "closed": str(reason)})
        if not self.ready.done():
            self.ready.set_exception(RuntimeError("connection closed: %s" % reason))

    async def do_join(self, room, nick, timeout, **options):
        # The library overlooks a refusal that does not repeat the request's <x/>; the one who waits should see it too.
        refusal = asyncio.get_running_loop().create_future()

        def refused(presence):
            if presence["from"].bare == room and not refusal.done():
                refusal.set_exception(PresenceError(presence))

        room_jid = slixmpp.JID(room)
        join = self.plugin["xep_0045"].join_muc_wait(room_jid, nick, timeout=timeout, **options)
        with self.event_handler("any_presence_error", refused):
            joining = asyncio.ensure_future(join)
            done, _ = await asyncio.wait([joining, refusal], return_when=asyncio.FIRST_COMPLETED)
        joining.cancel()
        if joining not in done:
            refusal.result()
        refusal.cancel()
        presence, subject, occupants, history = joining.result()
        return {
            "own": tree(presence.xml),
            "subject": tree(subject.xml),
            "occupants": [tree(occupant.xml) for occupant in occupants],
            "history": [tree(message.xml) for message in history],
        }

    async def do_iq(self, to, kind, payload, timeout):
        iq = self.make_iq(ito=to)
        iq["type"] = kind
        iq.append(ET.fromstring(payload))
        try:
            return tree((await iq.send(timeout=timeout)).xml)
        except IqError as error:
            return tree(error.iq.xml)

    async def do_raw(self, xml):
        self.send_raw(xml)

    async def do_disconnect(self):
        await self.disconnect()


class Driver:
    def __init__(self):
        self.sessions = {}

    async def login(self, session, jid, password, host, port):
        client = Session(session, jid, password)
        self.sessions[session] = client
        client.connect(host, port)
        return await asyncio.wait_for(asyncio.shield(client.ready), 30)

    async def perform(self, command):
        session, number, action = command.pop("session"), command.pop("id"), command.pop("do")
        try:
            if action == "login":
                value = await self.login(session, **command)
            else:
                value = await getattr(self.sessions[session], "do_" + action)(**command)
            emit({"session": session, "reply": number, "ok": True, "value": value})
        except PresenceError as error:
            emit({"session": session, "reply": number, "ok": False, "error": tree(error.presence.xml)})
        except IqError as error:
            emit({"session": session, "reply": number, "ok": False, "error": tree(error.iq.xml)})
        except (IqTimeout, asyncio.TimeoutError):
            emit({"session": session, "reply": number, "ok": False, "error": "timeout"})
        except Exception as error:  # whatever goes wrong is the answer to this command, not the end of the driver
            emit({"session": session, "reply": number, "ok": False, "error": "%s: %s" % (type(error).__name__, error)})

    async def run(self):
        reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        running = set()
        while line := await reader.readline():
            task = asyncio.ensure_future(self.perform(json.loads(line)))
            running.add(task)
            task.add_done_callback(running.discard)
            await asyncio.sleep(0)  # commands of one session take effect in the order they were given


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(Driver().run())

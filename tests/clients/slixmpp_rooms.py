"""What a user does in rooms, each by the library's own function for it where there is one."""

import slixmpp

PLUGINS = (
    "xep_0004",
    "xep_0030",
    "xep_0045",
    "xep_0050",
    "xep_0054",
    "xep_0059",
    "xep_0077",
    "xep_0199",
    "xep_0313",
    "xep_0359",
    "xep_0424",
    "xep_0425",
    "xep_0437",
    "xep_0463",
)
PATIENCE = 20


def filled(form, values):
    """A form as it is submitted: as it was given, but for these values."""
    form.reply()
    form["type"] = "submit"
    form.set_values(values)
    return form


class Rooms:
    """For a `slixmpp.ClientXMPP` with the plugins; `tree` makes plain data of an element."""

    tree = None

    def registers_plugins(self):
        for plugin in PLUGINS:
            self.register_plugin(plugin)

    @property
    def muc(self):
        return self.plugin["xep_0045"]

    async def do_leave(self, room, nick):
        try:
            self.muc.leave_muc(slixmpp.JID(room), nick)
        except KeyError:  # the library thinks that it is out already; the presence is sent all the same
            pass

    async def do_say(self, room, text):
        self.send_message(mto=room, mbody=text, mtype="groupchat")

    async def do_whisper(self, occupant, text):
        self.send_message(mto=occupant, mbody=text, mtype="chat")

    async def do_subject(self, room, subject):
        self.muc.set_subject(room, subject)

    async def do_nick(self, room, nick):
        return await self.muc.set_self_nick(slixmpp.JID(room), nick, timeout=PATIENCE)

    async def do_role(self, room, nick, role):
        await self.muc.set_role(room, nick, role, reason="by role", timeout=PATIENCE)

    async def do_affiliation(self, room, jid, affiliation):
        await self.muc.set_affiliation(room, affiliation, jid=jid, reason="by affiliation", timeout=PATIENCE)

    async def do_list(self, room, affiliation):
        return [str(jid) for jid in await self.muc.get_affiliation_list(room, affiliation, timeout=PATIENCE)]

    async def do_configuration(self, room):
        return self.tree((await self.muc.get_room_config(room, timeout=PATIENCE)).xml)

    async def do_configure(self, room, values):
        form = await self.muc.get_room_config(room, timeout=PATIENCE)
        await self.muc.set_room_config(room, filled(form, values), timeout=PATIENCE)

    async def do_invite(self, room, jid):
        self.muc.invite(room, jid, reason="come")

    async def do_decline(self, room, jid):
        self.muc.decline(room, jid, reason="no time")

    async def do_request_voice(self, room):
        self.muc.request_voice(room, "participant")

    async def do_send_form(self, to, form_type, values):
        message = self.make_message(to, mtype="normal")
        message["form"]["type"] = "submit"
        message["form"].add_field(var="FORM_TYPE", ftype="hidden", value=form_type)
        message["form"].set_values(values)
        message.send()

    async def do_destroy(self, room):
        await self.muc.destroy(room, reason="the end", timeout=PATIENCE)

    async def do_ping(self, to):
        await self.plugin["xep_0199"].send_ping(slixmpp.JID(to), timeout=PATIENCE)

    async def do_features(self, to):
        info = await self.plugin["xep_0030"].get_info(jid=to, timeout=PATIENCE)
        return sorted(info["disco_info"]["features"])

    async def do_archive(self, room):
        pages = self.plugin["xep_0313"].iterate(jid=slixmpp.JID(room), rsm={"max": 2})
        return [self.tree(message["mam_result"]["forwarded"]["stanza"].xml) async for message in pages]

    async def do_retract(self, room, message):
        self.plugin["xep_0424"].send_retraction(slixmpp.JID(room), message, mtype="groupchat")

    async def do_moderate(self, room, message):
        await self.plugin["xep_0425"].moderate(slixmpp.JID(room), message, "not here", timeout=PATIENCE)

    async def do_register(self, room, values):
        asked = await self.plugin["xep_0077"].get_registration(jid=room, timeout=PATIENCE)
        wish = self.make_iq_set(ito=room)
        wish.enable("register")
        wish["register"].append(filled(asked["register"]["form"], values))
        await wish.send(timeout=PATIENCE)

    async def do_unregister(self, room):
        await self.plugin["xep_0077"].cancel_registration(jid=room, timeout=PATIENCE)

    async def do_card(self, of):
        card = await self.plugin["xep_0054"].get_vcard(slixmpp.JID(of), timeout=PATIENCE)
        return self.tree(card["vcard_temp"].xml)

    async def do_publish_card(self, of, photo):
        card = self.plugin["xep_0054"].make_vcard()
        card["PHOTO"]["TYPE"] = "image/png"
        card["PHOTO"]["BINVAL"] = photo.encode()
        await self.plugin["xep_0054"].publish_vcard(card, jid=slixmpp.JID(of), timeout=PATIENCE)

    async def do_commands(self, of):
        offered = await self.plugin["xep_0050"].get_commands(slixmpp.JID(of), timeout=PATIENCE)
        return sorted(node for _, node, _ in offered["disco_items"]["items"])

    async def do_execute(self, of, node, values):
        commands, of = self.plugin["xep_0050"], slixmpp.JID(of)
        answer = (await commands.send_command(of, node, timeout=PATIENCE))["command"]
        if answer["status"] == "executing":
            form = filled(answer["form"], values)
            done = await commands.send_command(
                of, node, action="complete", payload=form, sessionid=answer["sessionid"], timeout=PATIENCE
            )
            answer = done["command"]
        return self.tree(answer.xml)

    async def do_follow(self, service):
        self.plugin["xep_0437"].subscribe(slixmpp.JID(service))

    async def do_unfollow(self, service):
        self.plugin["xep_0437"].unsubscribe(slixmpp.JID(service))

    async def do_enter_versioned(self, room, nick, since=None):
        presence = self.muc.make_join_stanza(slixmpp.JID(room), nick)
        presence["muc_join"].enable("mav")
        if since is not None:
            presence["muc_join"]["mav"]["since"] = since
        presence.send()

//! Thousands of stanzas that are nearly right: never a panic, never an answer to an answer, always an answer to a request.

use std::collections::BTreeMap;

use dmuc_core::Stanza;
use dmuc_core::stanza::Kind;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::common::CHAT;
use crate::wire::*;

const STANZAS: u32 = 3_000;
/// How many are under way before the answers are looked at.
const BATCH: u32 = 50;

struct Dice(ChaCha20Rng);

impl Dice {
    fn below(&mut self, sides: usize) -> usize {
        (self.0.next_u64() % sides.max(1) as u64) as usize
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

/// What servers let through: well-formed, with a sender. `@` stands for the room's address.
const GOOD: &[&str] = &[
    "<presence FROM to='@/NICK'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='3'/></x></presence>",
    "<presence FROM to='@/NICK'><show>away</show><status>gone</status></presence>",
    "<presence FROM type='unavailable' to='@/NICK'/>",
    "<presence FROM type='probe' to='@/NICK'/>",
    "<message FROM type='groupchat' to='@'><body>boo</body></message>",
    "<message FROM type='groupchat' to='@'><subject>boo</subject></message>",
    "<message FROM type='chat' to='@/NICK'><body>boo</body></message>",
    "<message FROM to='@'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@x.lit'><reason>boo</reason></invite></x></message>",
    "<message FROM to='@'><x xmlns='http://jabber.org/protocol/muc#user'><decline to='crone1@shakespeare.lit'/></x></message>",
    "<message FROM to='@'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value></field><field var='muc#role'><value>participant</value></field></x></message>",
    "<iq FROM type='get' to='@'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    "<iq FROM type='get' to='@'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
    "<iq FROM type='get' to='@/NICK'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq FROM type='get' to='@'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member'/></query></iq>",
    "<iq FROM type='set' to='@'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='NICK' role='visitor'><reason>boo</reason></item></query></iq>",
    "<iq FROM type='set' to='@'><query xmlns='http://jabber.org/protocol/muc#admin'><item jid='x@y.lit' affiliation='outcast'/></query></iq>",
    "<iq FROM type='get' to='@'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>",
    "<iq FROM type='set' to='@'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field><field var='muc#roomconfig_moderatedroom'><value>1</value></field></x></query></iq>",
    "<iq FROM type='get' to='@'><query xmlns='jabber:iq:register'/></iq>",
    "<iq FROM type='set' to='@'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field><field var='muc#register_roomnick'><value>boo</value></field></x></query></iq>",
    "<iq FROM type='set' to='@'><query xmlns='urn:xmpp:mam:2' queryid='q'><set xmlns='http://jabber.org/protocol/rsm'><max>5</max></set></query></iq>",
    "<iq FROM type='set' to='@'><command xmlns='http://jabber.org/protocol/commands' node='x' action='execute'/></iq>",
    "<iq FROM type='set' to='@'><vCard xmlns='vcard-temp'><FN>boo</FN></vCard></iq>",
    "<iq FROM type='set' to='@'><config xmlns='urn:xmpp:dmuc:0'><x xmlns='jabber:x:data' type='submit'/></config></iq>",
    "<iq FROM type='set' to='@'><occupants xmlns='urn:xmpp:dmuc:sync:0' until='7'><in nick='boo'/></occupants></iq>",
];

/// Values to put in the place of others.
const VALUES: &[&str] = &[
    "",
    " ",
    "boo",
    "get",
    "set",
    "result",
    "error",
    "groupchat",
    "unavailable",
    "subscribe",
    "0",
    "-1",
    "99999999999999999999",
    "owner",
    "none",
    "outcast",
    "moderator",
    "king",
    "a b@c",
    "@",
    "/",
    "x@y.lit",
    "x@y.lit/z",
    "\u{202e}",
    "\u{1f9d9}",
    "1970-01-01T00:00:00Z",
    "coven@chat.shakespeare.lit",
    "chat.shakespeare.lit",
    "urn:xmpp:dmuc:sync:0",
    "jabber:x:data",
    "http://jabber.org/protocol/muc",
    "&lt;&amp;&gt;",
    "true",
    "FORM_TYPE",
    "thirdwitch",
    "form",
    "cancel",
];

/// What is put into an element that was right.
const CHILDREN: &[&str] = &[
    "<x xmlns='http://jabber.org/protocol/muc'/>",
    "<x xmlns='http://jabber.org/protocol/muc#user'><item/></x>",
    "<unknown xmlns='urn:example:unknown' a='b'><c/></unknown>",
    "<error xmlns='jabber:component:accept' type='cancel'/>",
    "<item xmlns='http://jabber.org/protocol/muc#admin'/>",
    "<x xmlns='jabber:x:data' type='submit'/>",
    "<set xmlns='http://jabber.org/protocol/rsm'><max>x</max><before/></set>",
    "<body/>",
    "text",
    "<destroy xmlns='http://jabber.org/protocol/muc#owner'/>",
];

/// One change to a stanza that leaves it well-formed.
fn mutate(dice: &mut Dice, xml: &str) -> String {
    // What stands between quotes, but for the sender and the id that the answers are known by.
    let quotes: Vec<usize> = xml.match_indices('\'').map(|(at, _)| at).collect();
    let values: Vec<(usize, usize)> =
        quotes.chunks_exact(2).map(|pair| (pair[0] + 1, pair[1])).skip(2).collect();
    let closers: Vec<usize> = xml.match_indices("</").map(|(at, _)| at).collect();
    match dice.below(4) {
        0 | 1 if !values.is_empty() => {
            let (from, to) = values[dice.below(values.len())];
            format!("{}{}{}", &xml[..from], dice.of(VALUES), &xml[to..])
        }
        2 if !closers.is_empty() => {
            let at = closers[dice.below(closers.len())];
            format!("{}{}{}", &xml[..at], dice.of(CHILDREN).repeat(1 + dice.below(3)), &xml[at..])
        }
        _ => {
            let random: String = (0..1 + dice.below(30))
                .filter_map(|_| char::from_u32(dice.0.next_u32() % 0x11_0000))
                .collect();
            let kept: String =
                random.chars().filter(|c| !c.is_control() && !matches!(*c as u32, 0xfffe | 0xffff)).collect();
            let escaped =
                kept.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;").replace('>', "&gt;");
            match values.is_empty() {
                true => xml.to_owned(),
                false => {
                    let (from, to) = values[dice.below(values.len())];
                    format!("{}{escaped}{}", &xml[..from], &xml[to..])
                }
            }
        }
    }
}

#[tokio::test]
async fn stanzas_that_are_nearly_right() {
    let seed = 7;
    let mut dice = Dice(ChaCha20Rng::from_seed([seed; 32]));
    let mut server = Server::start(|policy| policy.rates.joins.burst = 100_000).await;
    server.gather(&[("persistentroom", "1")]).await;
    let mut number = 0;
    while number < STANZAS {
        let mut sent = BTreeMap::new();
        for _ in 0..BATCH {
            number += 1;
            let from = dice.of(&[
                CRONE,
                WICCA,
                HAG,
                KIT,
                "tom@marlowe.lit/x",
                "kit@marlowe.lit",
                "rooms.macbeth.lit",
                "coven@rooms.macbeth.lit/x",
            ]);
            let nick = dice.of(&["firstwitch", "secondwitch", "thirdwitch", "kit", "nobody"]);
            let id = format!("n{number}");
            let mut xml = dice
                .of(GOOD)
                .replace("FROM", &format!("from='{from}' id='{id}'"))
                .replace('@', COVEN)
                .replace("NICK", nick);
            xml = xml.replace(&format!("from='{}", from.replace('@', COVEN)), &format!("from='{from}"));
            for _ in 0..dice.below(4) {
                xml = mutate(&mut dice, &xml);
            }
            server.send(&xml).await;
            sent.insert(id, xml);
        }
        let got = server.settled(&[COVEN]).await;
        judge(&sent, &got);
    }
    server.still_serves().await;
}

/// What an attribute of the first tag says.
fn attribute<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let head = &xml[..xml.find('>')?];
    let from = head.find(&format!(" {name}='"))? + name.len() + 3;
    head[from..].split('\'').next()
}

fn judge(sent: &BTreeMap<String, String>, got: &[Stanza]) {
    let mut answers: BTreeMap<&str, usize> = BTreeMap::new();
    for stanza in got {
        let is_answer = stanza.is_error() || (stanza.kind == Kind::Iq && !stanza.is_request());
        let Some(request) = stanza.id.as_deref().filter(|_| is_answer).and_then(|id| sent.get(id)) else {
            continue;
        };
        let id = stanza.id.as_deref().unwrap_or_default();
        *answers.entry(id).or_default() += 1;
        let ty = attribute(request, "type").unwrap_or_default();
        assert!(
            ty != "error" && (ty != "result" || !request.starts_with("<iq")),
            "answered an answer: {request}"
        );
    }
    for (id, request) in sent.iter().filter(|(_, xml)| xml.starts_with("<iq")) {
        let ty = attribute(request, "type").unwrap_or_default();
        let to = attribute(request, "to").unwrap_or_default();
        let to_us =
            to.split('/').next().is_some_and(|bare| bare == CHAT || bare.ends_with(&format!("@{CHAT}")));
        if to_us && !matches!(ty, "result" | "error") && answers.get(id.as_str()) != Some(&1) {
            // A request to an occupant is passed on, and answered by the occupant.
            let passed_on = got.iter().any(|stanza| stanza.is_request());
            assert!(passed_on, "{:?} answers to {request}", answers.get(id.as_str()));
        }
    }
}

/// Bytes that are no stanzas: the stream ends as it should, and the next one serves the same rooms.
#[tokio::test]
async fn bytes_that_are_nothing() {
    let mut dice = Dice(ChaCha20Rng::from_seed([11; 32]));
    let mut server = Server::coven(&[]).await;
    for round in 0..60 {
        let good = groupchat(HAG, COVEN, "boo").into_bytes();
        let mut bytes = good.clone();
        match round % 3 {
            0 => (0..200).for_each(|_| bytes.push(dice.below(256) as u8)),
            1 => bytes.truncate(1 + dice.below(good.len() - 1)),
            _ => {
                for _ in 0..=dice.below(4) {
                    let at = dice.below(bytes.len());
                    bytes[at] = dice.below(256) as u8;
                }
            }
        }
        bytes.extend(b"</nothing></nothing>");
        let _ = tokio::io::AsyncWriteExt::write_all(&mut server.socket, &bytes).await;
        let end = server.last_words("bytes").await;
        assert!(end.contains("<stream:error>") || end.ends_with("</stream:stream>"), "{round}: {end}");
        server.reconnect().await;
    }
    server.still_serves().await;
    let got = server.exchange(&groupchat(CRONE, COVEN, "still here")).await;
    assert!(!got.is_empty());
}

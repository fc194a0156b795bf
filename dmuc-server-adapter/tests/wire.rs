//! What the wire reader makes of good, bad and hostile streams.

use std::time::Instant;

use dmuc_core::stanza::{Condition, Kind, Outbound, Stanza, StanzaError, Template};
use dmuc_core::{Address, ns as core_ns};
use dmuc_server_adapter::host::Delivery;
use dmuc_server_adapter::wire::{
    Ended, Excess, Expect, Limits, Read, Reader, Reason, Refused, SenderRule, StreamCondition, StreamHeader,
    Writer, ns, parse_stanzas,
};

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' \
                      xmlns:stream='http://etherx.jabber.org/streams' id='1'>";

fn component_reader() -> Reader {
    Reader::new(ns::COMPONENT, SenderRule::Required, Limits::default())
}

/// Everything read from `bytes`, fed in pieces of `piece` bytes.
fn read_in_pieces(mut reader: Reader, bytes: &[u8], piece: usize) -> Vec<Read> {
    let mut reads = Vec::new();
    for mut part in bytes.chunks(piece) {
        while let Some(read) = reader.read(&mut part) {
            reads.push(read);
        }
    }
    reads
}

fn read_all(bytes: &[u8]) -> Vec<Read> {
    read_in_pieces(component_reader(), bytes, 64 * 1024)
}

/// What follows the header of an authenticated component stream.
fn read_body(body: &[u8]) -> Vec<Read> {
    let mut reads = read_all(&[HEADER.as_bytes(), body].concat());
    assert!(matches!(reads.remove(0), Read::Opened(_)));
    reads
}

fn ending(reads: &[Read]) -> Option<StreamCondition> {
    match reads.last() {
        Some(Read::Failed(error)) => Some(error.condition),
        _ => None,
    }
}

fn message(inner: &str) -> String {
    format!("<message from='a@x.y/r' to='room@c.d' id='7' type='groupchat'>{inner}</message>")
}

#[test]
fn a_stanza_arrives_whole_in_whatever_pieces() {
    let body = message(
        "<body xml:lang='en'>a &lt; b &amp; c\u{1f9d9}</body>\n <x:x xmlns:x='urn:x' x:b='2' a='1'><x:y/></x:x>",
    );
    let bytes = format!("{HEADER} \n{body} </stream:stream>");
    for piece in [1, 2, 3, 7, 100, 10_000] {
        let reads = read_in_pieces(component_reader(), bytes.as_bytes(), piece);
        let [Read::Opened(header), Read::Stanza(stanza), Read::Closed] = &reads[..] else {
            panic!("pieces of {piece}: {reads:?}")
        };
        assert_eq!(header, &StreamHeader { id: Some("1".into()), ..StreamHeader::default() });
        assert_eq!(stanza.kind, Kind::Message);
        assert_eq!((stanza.ty(), stanza.id.as_deref()), ("groupchat", Some("7")));
        assert_eq!(stanza.from, Address::parse("a@x.y/r").ok());
        let children: Vec<&str> = stanza.children.iter().map(dmuc_core::stanza::Payload::as_xml).collect();
        assert_eq!(
            children,
            [
                "<body xml:lang='en'>a &lt; b &amp; c\u{1f9d9}</body>",
                "<x xmlns='urn:x' a='1' xmlns:a1='urn:x' a1:b='2'><y/></x>"
            ]
        );
    }
}

#[test]
fn what_is_written_reads_back_the_same() {
    let stanza = Stanza::message("groupchat")
        .with_id("a'b\"<&>\n")
        .with_from(&Address::parse("room@c.d/nick 'n' 🧙").expect("valid"))
        .with_to(&Address::parse("u@x.y/r").expect("valid"))
        .with(
            dmuc_core::stanza::Payload::parse_xml("<a xmlns='urn:a'><b xmlns=''>t&#13;</b></a>")
                .expect("valid"),
        );
    assert_eq!(parse_stanzas(&stanza.to_xml()), std::slice::from_ref(&stanza));
    let to = [Address::parse("u@x.y/1").expect("valid"), Address::parse("u@x.y/2").expect("valid")];
    let mut text = String::new();
    Outbound::FanOut { template: Template::new(&stanza), to: to.as_slice().into() }.write(&mut text);
    let expected: Vec<Stanza> = to.iter().map(|to| stanza.clone().with_to(to)).collect();
    assert_eq!(parse_stanzas(&text), expected);
}

#[test]
fn bad_xml_ends_the_stream_with_the_right_condition() {
    use StreamCondition::{
        BadFormat, InvalidNamespace, NotWellFormed, PolicyViolation, RestrictedXml, UnsupportedEncoding,
        UnsupportedStanzaType,
    };
    let long =
        |open: &str, close: &str| message(&format!("{open}{}{close}", "n".repeat(1_100_000))).into_bytes();
    let rows: [(&str, Vec<u8>, StreamCondition); 21] = [
        ("entity nobody declared", message("<body>&lol9;</body>").into(), NotWellFormed),
        ("processing instruction", message("<?php 1 ?>").into(), RestrictedXml),
        ("comment", message("<!-- hi -->").into(), RestrictedXml),
        ("comment between stanzas", b"<!-- hi -->".to_vec(), RestrictedXml),
        ("doctype in the stream", b"<!DOCTYPE a>".to_vec(), RestrictedXml),
        ("overlong UTF-8", [message("<body>").as_bytes(), b"\xC0\xAF"].concat(), NotWellFormed),
        (
            "UTF-8 surrogate",
            [b"<message from='a@b'><body>".as_slice(), b"\xED\xA0\x80</body>"].concat(),
            NotWellFormed,
        ),
        ("control character reference", message("<body>&#1;</body>").into(), NotWellFormed),
        ("raw control character", message("<body>\u{1}</body>").into(), NotWellFormed),
        ("attribute twice", message("<x a='1' a='2'/>").into(), NotWellFormed),
        (
            "attribute twice by prefixes",
            message("<x xmlns:p='u' xmlns:q='u' p:a='1' q:a='2'/>").into(),
            NotWellFormed,
        ),
        ("namespace declared twice", message("<x xmlns:p='u' xmlns:p='v'/>").into(), NotWellFormed),
        ("default namespace declared twice", message("<x xmlns='u' xmlns='v'/>").into(), NotWellFormed),
        ("undeclared prefix", message("<p:x/>").into(), NotWellFormed),
        ("undeclared attribute prefix", message("<x p:a='1'/>").into(), NotWellFormed),
        ("end tag of another element", b"<message from='a@b'><x></y></message>".to_vec(), NotWellFormed),
        ("unknown element", b"<letter/>".to_vec(), UnsupportedStanzaType),
        (
            "stanza of another namespace",
            b"<message xmlns='jabber:client' from='a@b'/>".to_vec(),
            InvalidNamespace,
        ),
        ("text between stanzas", b"hello".to_vec(), BadFormat),
        ("name of a megabyte", long("<", "/>"), PolicyViolation),
        ("attribute of a megabyte", long("<x a='", "'/>"), PolicyViolation),
    ];
    for (what, body, condition) in rows {
        assert_eq!(ending(&read_body(&body)), Some(condition), "{what}");
    }
    let heads: [(&str, &str, StreamCondition); 8] = [
        ("doctype", "<?xml version='1.0'?><!DOCTYPE s [<!ENTITY a 'b'>]><s/>", RestrictedXml),
        ("utf-16", "<?xml version='1.0' encoding='utf-16'?><s/>", UnsupportedEncoding),
        ("XML 1.1", "<?xml version='1.1'?><s/>", RestrictedXml),
        ("no stream", "<message xmlns='jabber:component:accept'/>", InvalidNamespace),
        ("another content namespace", &HEADER.replace("component:accept", "client"), InvalidNamespace),
        ("another stream namespace", &HEADER.replace("etherx", "example"), InvalidNamespace),
        ("another root", &HEADER.replace("stream:stream", "stream:river"), BadFormat),
        ("endless header", &format!("<s a='{}'>", "a".repeat(400_000)), PolicyViolation),
    ];
    for (what, head, condition) in heads {
        assert_eq!(ending(&read_all(head.as_bytes())), Some(condition), "{what}");
    }
}

#[test]
fn before_the_handshake_only_the_handshake_is_welcome() {
    let before = |body: &str| {
        let mut reader = component_reader();
        reader.expect(Expect::HANDSHAKE);
        let reads = read_in_pieces(reader, format!("{HEADER}{body}").as_bytes(), 9);
        (ending(&reads), reads.len())
    };
    assert_eq!(before(&message("<body/>")), (Some(StreamCondition::NotAuthorized), 2));
    assert_eq!(before("<letter/>"), (Some(StreamCondition::NotAuthorized), 2));
    assert_eq!(before("<handshake>abc</handshake>"), (None, 2));
    assert_eq!(
        before("<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>"),
        (None, 2)
    );
    let huge = format!("<handshake>{}</handshake>", "<a>".repeat(20));
    assert_eq!(before(&huge), (Some(StreamCondition::PolicyViolation), 2));
}

fn nested(levels: usize) -> String {
    message(&format!("{}{}", "<deeper-still>".repeat(levels), "</deeper-still>".repeat(levels)))
}

fn refused(reason: Reason) -> Refused {
    Refused {
        kind: Kind::Message,
        from: Address::parse("a@x.y/r").ok(),
        to: Some("room@c.d".into()),
        id: Some("7".into()),
        ty: Some("groupchat".into()),
        reason,
    }
}

#[test]
fn a_stanza_over_a_limit_is_refused_and_the_stream_goes_on() {
    let attributes: String = (0..20_000).map(|n| format!(" a{n}=''")).collect();
    let declarations: String = (0..50).map(|n| format!(" xmlns:p{n}='u'")).collect();
    let own = |levels: usize| {
        message(&format!(
            "<s xmlns='urn:xmpp:dmuc:sync:0'>{}{}</s>",
            "<a>".repeat(levels),
            "</a>".repeat(levels)
        ))
    };
    let flooded_root =
        format!("<message{attributes} from='a@x.y/r' to='room@c.d' id='7' type='groupchat'><a/></message>");
    let long_id = format!(
        "<message z='{}' from='a@x.y/r' to='room@c.d' id='7' type='groupchat'/>",
        "i".repeat(300_000)
    );
    let rows: [(&str, String, Excess); 12] = [
        ("64 below the stanza", nested(64), Excess::Depth),
        ("5 000 nested", nested(5_000), Excess::Depth),
        ("16 below our own", own(16), Excess::Depth),
        ("2 000 children", message(&"<a/>".repeat(2_000)), Excess::Elements),
        (
            "65 attributes",
            message(&format!("<a{}/>", (0..65).map(|n| format!(" a{n}=''")).collect::<String>())),
            Excess::Attributes,
        ),
        ("20 000 attributes", message(&format!("<a{attributes}/>")), Excess::Attributes),
        ("20 000 attributes of the stanza", flooded_root, Excess::Attributes),
        (
            "150 namespaces",
            message(&format!("<a{declarations}><a{declarations}><a{declarations}/></a></a>")),
            Excess::Namespaces,
        ),
        ("300 KiB of text", message(&format!("<body>{}</body>", "b".repeat(300 * 1024))), Excess::Bytes),
        ("10 MB of text", message(&format!("<body>{}</body>", "b".repeat(10_000_000))), Excess::Bytes),
        ("300 KB of attribute", message(&format!("<a b='{}'/>", "b".repeat(300_000))), Excess::Bytes),
        ("300 KB of the stanza's attribute", long_id, Excess::Bytes),
    ];
    for (what, stanza, excess) in rows {
        let reads = read_body(format!("{stanza}{}", message("<body>next</body>")).as_bytes());
        let [Read::Refused(first), Read::Stanza(next)] = &reads[..] else { panic!("{what}: {reads:?}") };
        assert_eq!(**first, refused(Reason::Limit(excess)), "{what}");
        assert!(next.has("body"), "{what}");
    }
}

#[test]
fn what_is_just_within_the_limits_is_read() {
    let attributes: String = (0..64).map(|n| format!(" a{n}=''")).collect();
    let rows = [
        nested(63),
        message(&"<a/>".repeat(1_999)),
        message(&format!("<a{attributes}/>")),
        message(&format!("<body>{}</body>", "b".repeat(255 * 1024))),
        message(&format!("<s xmlns='urn:xmpp:dmuc:sync:0'>{}{}</s>", "<a>".repeat(15), "</a>".repeat(15))),
    ];
    for stanza in rows {
        let reads = read_body(stanza.as_bytes());
        let [Read::Stanza(read)] = &reads[..] else { panic!("{stanza:.200}: {reads:?}") };
        assert!(!read.children.is_empty());
    }
}

#[test]
fn depth_beyond_skipping_ends_the_stream_quickly() {
    let reads = read_body(nested(100_000).as_bytes());
    assert_eq!(ending(&reads), Some(StreamCondition::PolicyViolation));
    costs_no_more_than_its_size(25_000, nested);
}

/// Reading four times as much takes about four times as long; it would take sixteen times as long if everything were
/// compared with everything before it.
fn costs_no_more_than_its_size(n: usize, hostile: impl Fn(usize) -> String) {
    let cost = |n| {
        let bytes = hostile(n);
        let once = || {
            let start = Instant::now();
            drop(read_body(bytes.as_bytes()));
            start.elapsed()
        };
        // The quickest of some: whatever else the machine does only adds.
        (0..5).map(|_| once()).min().expect("five of them")
    };
    let (one, four) = (cost(n), cost(4 * n));
    assert!(four < one * 10, "{n}: {one:?}, four times as much: {four:?}");
}

#[test]
fn namespace_floods_cost_little() {
    let declared: String = (0..60).map(|n| format!(" xmlns:p{n}='u{n}'")).collect();
    let used: String = (0..60).map(|n| format!(" p{n}:a=''")).collect();
    let flood = |n: usize| message(&format!("<a{declared}>{}</a>", format!("<a{used}/>").repeat(n)));
    assert!(matches!(read_body(flood(400).as_bytes())[..], [Read::Stanza(_)]));
    costs_no_more_than_its_size(100, flood);
}

#[test]
fn references_cost_little() {
    let flood = |n: usize| message(&format!("<body>{}</body>", "&lt;".repeat(n)));
    let reads = read_body(flood(60_000).as_bytes());
    let [Read::Stanza(stanza)] = &reads[..] else { panic!("{} reads", reads.len()) };
    assert_eq!(stanza.children[0].text(), "<".repeat(60_000));
    costs_no_more_than_its_size(15_000, flood);
}

#[test]
fn limits_are_configurable_downwards_only() {
    let limits = Limits { depth: 1_000_000, elements: 3, ..Limits::default() };
    let reader = || Reader::new(ns::COMPONENT, SenderRule::Required, limits);
    let read =
        |stanza: &str| read_in_pieces(reader(), format!("{HEADER}{stanza}").as_bytes(), 1000).remove(1);
    assert!(matches!(read(&message("<a/><b/>")), Read::Stanza(_)));
    assert!(matches!(read(&message("<a/><b/><c/>")), Read::Refused(_)));
    assert_eq!(limits.clamped().depth, 64);
}

#[test]
fn addresses_are_judged_before_the_rest() {
    let bad_to = "<iq from='a@x.y/r' to='ro om@c.d' id='7' type='get'><a/></iq>";
    let reads = read_body(
        format!("<message to='r@c.d'/><message from='@' to='r@c.d'><a/></message>{bad_to}").as_bytes(),
    );
    let [Read::Refused(first)] = &reads[..] else { panic!("{reads:?}") };
    assert_eq!((first.reason, first.to.as_deref()), (Reason::Addressee, Some("ro om@c.d")));
    let answer = first.answer("c.d").expect("a request is answered");
    let head = "<iq from='c.d' id='7' to='a@x.y/r' type='error'><error type='modify'>";
    let condition = "<jid-malformed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>";
    assert!(answer.starts_with(&format!("{head}{condition}")), "{answer}");
}

#[test]
fn errors_and_results_are_never_answered() {
    for (kind, ty, answered) in [
        (Kind::Message, Some("error"), false),
        (Kind::Presence, Some("error"), false),
        (Kind::Iq, Some("result"), false),
        (Kind::Iq, Some("get"), true),
        (Kind::Message, None, true),
    ] {
        let one = Refused { kind, ty: ty.map(Into::into), ..refused(Reason::Limit(Excess::Bytes)) };
        assert_eq!(one.answer("c.d").is_some(), answered, "{kind:?} {ty:?}");
    }
    let limit = refused(Reason::Limit(Excess::Bytes)).answer("c.d").expect("a message is answered");
    let read = parse_stanzas(&limit).pop().expect("an answer is a stanza");
    let expected = StanzaError::new(Condition::PolicyViolation).because("too many bytes");
    assert_eq!(read.children, [expected.to_payload()]);
}

#[test]
fn a_client_cannot_name_its_sender() {
    let reader = Reader::new(ns::CLIENT, SenderRule::Ignored, Limits::default());
    let header = HEADER.replace("component:accept", "client");
    let reads = read_in_pieces(reader, format!("{header}{}", message("<body>b</body>")).as_bytes(), 50);
    let Read::Stanza(stanza) = &reads[1] else { panic!("{reads:?}") };
    assert_eq!(stanza.from, None);
    assert!(stanza.child("body", core_ns::STANZA).is_some());
}

#[test]
fn keepalives_cost_nothing() {
    let mut reader = component_reader();
    assert!(matches!(reader.read(&mut HEADER.as_bytes()), Some(Read::Opened(_))));
    for _ in 0..600_000 {
        assert_eq!(reader.read(&mut b" ".as_slice()), None);
    }
    let stanza = message("<body/>");
    let mut input = stanza.as_bytes();
    assert!(matches!(reader.read(&mut input), Some(Read::Stanza(_))));
}

/// A linear congruential generator (Knuth's constants): the same damage in every run.
struct Damage(u64);

impl Damage {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn apply(&mut self, bytes: &mut Vec<u8>) {
        const SPICE: [&[u8]; 12] = [
            b"<",
            b">",
            b"'",
            b"/",
            b"&",
            b"\xff",
            b"\0",
            b" xmlns='u'",
            b"<a>",
            b"</a>",
            b"]]>",
            b"&#x1F9D9;",
        ];
        let at = self.below(bytes.len());
        match self.below(3) {
            0 => drop(bytes.remove(at)),
            1 => bytes[at] = self.below(256) as u8,
            _ => drop(bytes.splice(at..at, SPICE[self.below(SPICE.len())].iter().copied())),
        }
    }
}

#[test]
fn whatever_is_read_from_damaged_streams_is_whole() {
    let inner = "<body xml:lang='en'>a &lt; b</body><x:x xmlns:x='urn:x' x:b='2' a='1'><x:y xmlns='v'><z/></x:y></x:x>";
    let sound =
        format!("{HEADER}{}<presence from='a@x.y/r' to='room@c.d/n'/></stream:stream>", message(inner));
    let (mut damage, mut stanzas, mut failures) = (Damage(7), 0, 0);
    for _ in 0..20_000 {
        let mut bytes = sound.clone().into_bytes();
        (0..=damage.below(3)).for_each(|_| damage.apply(&mut bytes));
        let whole = read_in_pieces(component_reader(), &bytes, usize::MAX);
        let in_pieces = read_in_pieces(component_reader(), &bytes, 1 + damage.below(9));
        // Of two faults, which is met first may depend on the pieces.
        assert_eq!((whole.len(), ending(&whole).is_some()), (in_pieces.len(), ending(&in_pieces).is_some()));
        let sound_part = whole.len() - usize::from(ending(&whole).is_some());
        assert_eq!(whole[..sound_part], in_pieces[..sound_part], "pieces change the meaning");
        for read in whole {
            match read {
                Read::Stanza(stanza) => {
                    assert_eq!(parse_stanzas(&stanza.to_xml()), [*stanza]);
                    stanzas += 1;
                }
                Read::Failed(_) => failures += 1,
                _ => {}
            }
        }
    }
    assert!(
        stanzas > 1_000 && failures > 1_000,
        "{stanzas} stanzas and {failures} failures: too little was tried"
    );
}

#[tokio::test]
async fn what_is_queued_is_written_in_order_and_nothing_after_the_end() {
    let writer = Writer::new(1_000_000, 10_000);
    let to = [Address::parse("u@x.y/1").expect("valid"), Address::parse("u@x.y/2").expect("valid")];
    let numbered = |id: &str| Stanza::message("chat").with_id(id).with_from(&to[0]);
    let burst = ["a", "b"].map(|id| Template::new(&numbered(id))).to_vec();
    let outs = [
        Outbound::One(Box::new(numbered("1").with_to(&to[0]))),
        Outbound::FanOut { template: Template::new(&numbered("2")), to: to.as_slice().into() },
        Outbound::Burst { templates: burst, to: to[1].clone() },
    ];
    for out in &outs {
        assert_eq!(writer.push(out), Delivery::Accepted);
    }
    let big = Outbound::One(Box::new(numbered(&"i".repeat(10_001))));
    assert_eq!(writer.push(&big), Delivery::NoRoute);
    writer.close("</stream:stream>");
    assert_eq!(writer.push(&outs[0]), Delivery::Closed);
    let mut sink = Vec::new();
    assert!(matches!(writer.run(&mut sink).await, Ended::Drained));
    let mut expected = String::new();
    outs.iter().for_each(|out| out.write(&mut expected));
    assert_eq!(String::from_utf8(sink).expect("UTF-8"), format!("{expected}</stream:stream>"));
}

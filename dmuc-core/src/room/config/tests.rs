//! What owners and sources can count on.

use std::collections::BTreeSet;

use minidom::Element;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use xmpp_parsers::data_forms::{DataForm, DataFormType, Field, FieldType};

use super::{
    AllowPm, Config, FormScope, Hat, OPTIONS, Refused, Registration, Whois, list_fields, option, status_codes,
};
use crate::address::Address;
use crate::ns;
use crate::room::roles::{Affiliation, Role};
use crate::stanza::{Condition, ErrorKind, StanzaError};

const OWNER: FormScope = FormScope::Owner { distributed: true };

/// A submitted room configuration out of (field, values).
fn submitted(fields: &[(&str, &[&str])]) -> DataForm {
    let field = |(var, values): &(&str, &[&str])| Field {
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        ..Field::new(var, FieldType::TextSingle)
    };
    DataForm::new(DataFormType::Submit, ns::MUC_ROOMCONFIG, fields.iter().map(field).collect())
}

fn apply(config: &Config, fields: &[(&str, &[&str])]) -> Result<Config, Refused> {
    config.apply_form(&submitted(fields), OWNER).map(|applied| applied.config)
}

fn field<'a>(form: &'a DataForm, var: &str) -> &'a Field {
    form.fields
        .iter()
        .find(|field| field.var.as_deref() == Some(var))
        .unwrap_or_else(|| panic!("no field {var}"))
}

fn through_xml(form: DataForm) -> DataForm {
    let text = String::from(&Element::from(form));
    DataForm::try_from(text.parse::<Element>().expect("well-formed")).expect("a data form")
}

fn any_text(rng: &mut impl Rng, chars_max: u32) -> String {
    let alphabet: Vec<char> = "abz &<>\"'éß日🧙-_/".chars().collect();
    (0..rng.next_u32() % (chars_max + 1))
        .map(|_| alphabet[rng.next_u32() as usize % alphabet.len()])
        .collect()
}

fn any_of<T: Copy>(rng: &mut impl Rng, all: &[T]) -> T {
    all[rng.next_u32() as usize % all.len()]
}

fn any_roles(rng: &mut impl Rng) -> BTreeSet<Role> {
    Role::OCCUPANTS.into_iter().filter(|_| rng.next_u32() & 1 == 1).collect()
}

fn any_contact(n: u32) -> Address {
    Address::parse(&format!("crone{n}@shakespeare.lit")).expect("a bare JID")
}

fn any_hat(n: u32) -> (String, Hat) {
    let hue = n.is_multiple_of(2).then(|| "327.255249".to_owned());
    (format!("http://example.org/hats#{n}"), Hat { title: format!("Hat {n} of felt"), hue })
}

fn any_config(rng: &mut impl Rng) -> Config {
    let bits = rng.next_u32();
    let flag = |n: u32| bits >> n & 1 == 1;
    Config {
        name: any_text(rng, 255),
        description: any_text(rng, 500).replace('z', "\n\t"),
        lang: flag(0).then(|| "de-CH".to_owned()),
        public: flag(1),
        persistent: flag(2),
        members_only: flag(3),
        moderated: flag(4),
        members_by_default: flag(5),
        password: flag(6).then(|| (any_text(rng, 200) + "x").into()),
        whois: if flag(7) { Whois::Anyone } else { Whois::Moderators },
        change_subject: flag(8),
        max_users: flag(9).then(|| rng.next_u32() | 1),
        allow_pm: any_of(
            rng,
            &[AllowPm::Anyone, AllowPm::Participants, AllowPm::Moderators, AllowPm::Nobody],
        ),
        allow_invites: flag(10),
        registration: any_of(rng, &[Registration::Usual, Registration::Open, Registration::Closed]),
        lock_nicks: flag(14),
        voice_requests: flag(15),
        voice_interval_s: rng.next_u32(),
        presence_broadcast: any_roles(rng),
        get_member_list: any_roles(rng),
        absent_members: flag(17),
        history_length: rng.next_u32(),
        logging: flag(11),
        archiving: flag(15),
        pubsub: flag(12).then(|| "xmpp:pubsub.shakespeare.lit?;node=coven".to_owned()),
        allow_subscription: flag(30),
        contacts: (0..bits % 3).map(any_contact).collect(),
        hats: (0..bits % 4).map(any_hat).collect(),
        lookalike_nicks: flag(16),
        distributed: flag(13),
    }
}

#[test]
fn a_submission_carries_the_whole_configuration_to_a_shadow() {
    let mut rng = ChaCha8Rng::seed_from_u64(281);
    for round in 0..500 {
        let (before, sent) = (any_config(&mut rng), any_config(&mut rng));
        for base in [Config::default(), before] {
            let form = through_xml(sent.submission());
            let applied = base.apply_form(&form, FormScope::Peer).expect("own submission");
            assert_eq!(applied.config, sent, "round {round}");
            assert_eq!(applied.unsupported, Vec::<String>::new());
            assert_eq!(base.changed(&sent).is_empty(), base == sent, "every field is an option");
        }
    }
}

#[test]
fn a_record_is_read_back_and_may_lack_or_exceed_what_we_know() {
    let mut rng = ChaCha8Rng::seed_from_u64(45);
    for _ in 0..100 {
        let config = any_config(&mut rng);
        let json = serde_json::to_string(&config).expect("serialises");
        assert_eq!(serde_json::from_str::<Config>(&json).expect("reads back"), config);
    }
    let partly: Config =
        serde_json::from_str(r#"{"members-only":true,"of-the-future":1}"#).expect("tolerant");
    assert_eq!(partly, Config { members_only: true, ..Config::default() });
}

#[test]
fn the_form_shows_every_value_and_is_accepted_as_it_is() {
    let config = Config { name: "A Dark Cave".into(), max_users: Some(30), ..Config::default() };
    let form = config.form(OWNER);
    assert_eq!((form.type_.clone(), form.form_type()), (DataFormType::Form, Some(ns::MUC_ROOMCONFIG)));
    assert_eq!(form.fields.len(), OPTIONS.iter().filter(|option| option.is_in(OWNER)).count() + 1);
    assert_eq!(field(&form, "muc#roomconfig_roomname").values, ["A Dark Cave"]);
    for field in form.fields.iter().filter(|field| field.type_ == FieldType::ListSingle) {
        assert!(
            field.options.iter().any(|option| option.value == field.values[0]),
            "{:?} is offered",
            field.var
        );
    }
    let back = DataForm { type_: DataFormType::Submit, ..form };
    assert_eq!(config.apply_form(&back, OWNER).expect("unchanged form").config, config);
}

#[test]
fn options_have_distinct_names() {
    let vars: BTreeSet<_> = OPTIONS.iter().map(|option| option.var()).collect();
    assert_eq!(vars.len(), OPTIONS.len());
}

#[test]
fn distribution_is_offered_and_taken_only_where_policy_leaves_it_to_owners() {
    let without = FormScope::Owner { distributed: false };
    let var = "muc#roomconfig_distributed";
    let has =
        |scope| Config::default().form(scope).fields.iter().any(|field| field.var.as_deref() == Some(var));
    assert!(has(OWNER) && !has(without));
    let form = submitted(&[(var, &["1"])]);
    let is_distributed =
        |scope| Config::default().apply_form(&form, scope).expect("valid").config.distributed;
    assert!(is_distributed(OWNER) && is_distributed(FormScope::Peer) && !is_distributed(without));
}

#[test]
fn missing_fields_keep_their_value() {
    let config =
        Config { name: "A Dark Cave".into(), password: Some("cauldronburn".into()), ..Config::default() };
    let moderated = Config { moderated: true, ..config.clone() };
    assert_eq!(apply(&config, &[("muc#roomconfig_moderatedroom", &["1"])]), Ok(moderated));
    let empty = DataForm { type_: DataFormType::Submit, title: None, instructions: None, fields: Vec::new() };
    assert_eq!(config.apply_form(&empty, OWNER).expect("an instant room").config, config);
}

#[test]
fn booleans_have_four_spellings() {
    let var = "muc#roomconfig_membersonly";
    for (text, value) in [("1", true), ("true", true), ("0", false), ("false", false)] {
        let opposite = Config { members_only: !value, ..Config::default() };
        assert_eq!(apply(&opposite, &[(var, &[text])]).expect(text).members_only, value, "{text}");
    }
    for values in [&["yes"][..], &["2"], &[""], &["1", "0"]] {
        assert!(apply(&Config::default(), &[(var, values)]).is_err(), "{values:?}");
    }
}

#[test]
fn other_forms_are_bad_requests() {
    let config = Config::default();
    let good = submitted(&[("muc#roomconfig_roomname", &["x"])]);
    let other = DataForm::new(DataFormType::Submit, ns::MUC_ROOMINFO, good.fields[1..].to_vec());
    let untyped = DataForm { fields: good.fields[1..].to_vec(), ..good.clone() };
    let twice = submitted(&[("muc#roomconfig_membersonly", &["1"]), ("muc#roomconfig_membersonly", &["0"])]);
    let cancelled = DataForm { type_: DataFormType::Cancel, fields: Vec::new(), ..good.clone() };
    let unsubmitted = DataForm { type_: DataFormType::Form, ..good };
    for form in [&other, &untyped, &twice, &cancelled, &unsubmitted] {
        let error = StanzaError::from(config.apply_form(form, OWNER).expect_err("refused"));
        assert_eq!((error.condition, error.kind), (Condition::BadRequest, ErrorKind::Modify), "{form:?}");
    }
}

#[test]
fn peers_may_send_forms_and_results() {
    for ty in [DataFormType::Form, DataFormType::Submit, DataFormType::Result_] {
        let form = DataForm { type_: ty, ..submitted(&[]) };
        let hidden = Field { type_: FieldType::Hidden, ..form.fields[0].clone() };
        let name = Field::text_single("muc#roomconfig_roomname", "A Dark Cave");
        let form = DataForm { fields: vec![hidden, name], ..form };
        let applied = Config::default().apply_form(&form, FormScope::Peer).expect("accepted");
        assert_eq!(applied.config.name, "A Dark Cave");
    }
}

#[test]
fn invalid_values_are_not_acceptable_and_name_their_field() {
    let (long, longest) = ("ä".repeat(256), "x".repeat(4097));
    let cases: [(&str, &[&str]); 16] = [
        ("muc#roomconfig_roomname", &[&long]),
        ("muc#roomconfig_roomname", &["two\nlines"]),
        ("muc#roomconfig_roomdesc", &[&longest]),
        ("muc#roomconfig_roomdesc", &["\u{7}"]),
        ("muc#roomconfig_roomsecret", &[&long]),
        ("muc#roomconfig_lang", &["not a tag"]),
        ("muc#roomconfig_pubsub", &["javascript:alert(1)"]),
        ("muc#roomconfig_maxusers", &["0"]),
        ("muc#roomconfig_maxusers", &["-1"]),
        ("muc#roomconfig_maxusers", &["4294967296"]),
        ("muc#maxhistoryfetch", &["many"]),
        ("muc#roomconfig_whois", &["nobody"]),
        ("muc#roomconfig_allowpm", &["everyone"]),
        ("muc#roomconfig_presencebroadcast", &["none"]),
        ("muc#roomconfig_roomowners", &["a@b@c"]),
        ("muc#roomconfig_whois", &["anyone", "moderators"]),
    ];
    for (var, values) in cases {
        let refused = apply(&Config::default(), &[(var, values)]).expect_err(var);
        assert_eq!(refused.var(), Some(var));
        let error = StanzaError::from(refused);
        assert_eq!((error.condition, error.kind), (Condition::NotAcceptable, ErrorKind::Modify), "{var}");
        assert!(error.text.expect("a text").contains(var));
    }
}

#[test]
fn limits_are_inclusive() {
    let name = "ä".repeat(255);
    assert_eq!(apply(&Config::default(), &[("muc#roomconfig_roomname", &[&name])]).expect("fits").name, name);
    let text = "x".repeat(4096);
    assert_eq!(
        apply(&Config::default(), &[("muc#roomconfig_roomdesc", &[&text])]).expect("fits").description,
        text
    );
}

#[test]
fn a_protected_room_has_a_password() {
    const ON: &str = "muc#roomconfig_passwordprotectedroom";
    const SECRET: &str = "muc#roomconfig_roomsecret";
    let open = Config::default();
    let closed = Config { password: Some("cauldronburn".into()), ..Config::default() };
    let password = |config: &Config, fields: &[(&str, &[&str])]| {
        apply(config, fields).map(|config| config.password.as_deref().map(str::to_owned)).map_err(|r| r.var())
    };
    let is = |text: &str| Ok(Some(text.to_owned()));

    assert_eq!(password(&open, &[(ON, &["1"]), (SECRET, &["x"])]), is("x"));
    assert_eq!(password(&open, &[(SECRET, &["x"]), (ON, &["1"])]), is("x"), "in any order");
    assert_eq!(password(&open, &[(SECRET, &["x"])]), is("x"), "the password alone protects");
    assert_eq!(password(&open, &[(ON, &["0"]), (SECRET, &[""])]), Ok(None));
    assert_eq!(
        password(&closed, &[(ON, &["0"]), (SECRET, &["x"])]),
        Ok(None),
        "the switch has the last word"
    );
    assert_eq!(password(&closed, &[(ON, &["1"])]), is("cauldronburn"), "kept");
    assert_eq!(password(&closed, &[(SECRET, &["y"])]), is("y"));
    assert_eq!(password(&closed, &[(SECRET, &[""])]), Ok(None), "emptied alone it unprotects");
    for fields in [&[(ON, &["1"][..])][..], &[(ON, &["1"]), (SECRET, &[""])], &[(ON, &["1"]), (SECRET, &[])]]
    {
        assert_eq!(password(&open, fields), Err(Some(SECRET)), "{fields:?}");
    }
    assert_eq!(password(&closed, &[(ON, &["1"]), (SECRET, &[""])]), Err(Some(SECRET)));
}

#[test]
fn values_are_cleared_by_empty_fields() {
    let full = Config {
        name: "n".into(),
        description: "d".into(),
        lang: Some("en".into()),
        pubsub: Some("xmpp:x".into()),
        max_users: Some(3),
        ..Config::default()
    };
    let vars =
        ["roomname", "roomdesc", "lang", "pubsub", "maxusers"].map(|name| format!("muc#roomconfig_{name}"));
    let fields: Vec<(&str, &[&str])> = vars.iter().map(|var| (var.as_str(), &[""][..])).collect();
    assert_eq!(apply(&full, &fields), Ok(Config::default()));
}

#[test]
fn a_shadow_says_what_it_does_not_support_and_fails_closed_where_it_matters() {
    let unknown = "muc#roomconfig_telepathy";
    let form = submitted(&[
        (unknown, &["1"]),
        ("muc#roomconfig_allowpm", &["wizards"]),
        ("muc#roomconfig_membersonly", &["1"]),
    ]);
    let applied =
        Config::default().apply_form(&form, FormScope::Peer).expect("nothing protective is at fault");
    assert_eq!(applied.unsupported, [unknown, "muc#roomconfig_allowpm"]);
    assert_eq!(applied.config, Config { members_only: true, ..Config::default() });
    for var in ["membersonly", "passwordprotectedroom", "moderatedroom", "whois", "maxusers"] {
        let var = format!("muc#roomconfig_{var}");
        let form = submitted(&[(&var, &["sometimes"])]);
        let refused = Config::default().apply_form(&form, FormScope::Peer).expect_err(&var);
        assert_eq!(refused.var(), Some(var.as_str()));
        assert!(option(&var).expect("known").protects());
    }
    let of_owner = Config::default().apply_form(&submitted(&[(unknown, &["1"])]), OWNER).expect("ignored");
    assert_eq!(of_owner.unsupported, Vec::<String>::new());
}

#[test]
fn admin_and_owner_lists_are_read_beside_the_configuration() {
    let jids = ["wiccarocks@shakespeare.lit", "hecate@shakespeare.lit"];
    let [hecate, wiccarocks] = [1, 0].map(|n| Address::parse(jids[n]).expect("valid"));
    let form =
        submitted(&[("muc#roomconfig_roomadmins", &[jids[0], "", jids[1], "Hecate@shakespeare.lit/broom"])]);
    let applied = Config::default().apply_form(&form, OWNER).expect("valid");
    assert_eq!((applied.admins, applied.owners), (Some(vec![hecate.clone(), wiccarocks.clone()]), None));

    let [admins, owners] = list_fields([&wiccarocks], [&hecate]);
    let form = DataForm::new(DataFormType::Submit, ns::MUC_ROOMCONFIG, vec![admins, owners]);
    let applied = Config::default().apply_form(&form, FormScope::Peer).expect("valid");
    assert_eq!((applied.admins, applied.owners), (Some(vec![wiccarocks]), Some(vec![hecate])));
    assert_eq!(applied.unsupported, Vec::<String>::new());
}

#[test]
fn features_tell_the_kind_of_room() {
    let open =
        ["muc_public", "muc_temporary", "muc_unmoderated", "muc_open", "muc_unsecured", "muc_semianonymous"];
    assert_eq!(Config::default().features(), open);
    let closed = Config {
        public: false,
        persistent: true,
        moderated: true,
        members_only: true,
        password: Some("x".into()),
        whois: Whois::Anyone,
        ..Config::default()
    };
    let features = [
        "muc_hidden",
        "muc_persistent",
        "muc_moderated",
        "muc_membersonly",
        "muc_passwordprotected",
        "muc_nonanonymous",
    ];
    assert_eq!(closed.features(), features);
}

#[test]
fn room_information_tells_what_is_set_and_never_the_password() {
    let told = |config: &Config| -> Vec<(String, Vec<String>)> {
        config.info_fields().into_iter().map(|field| (field.var.expect("named"), field.values)).collect()
    };
    let config = Config {
        description: "The place for all good witches!".into(),
        lang: Some("en".into()),
        history_length: 50,
        change_subject: true,
        password: Some("cauldronburn".into()),
        contacts: vec![any_contact(1)],
        hats: [any_hat(0)].into(),
        ..Config::default()
    };
    let fields = told(&config);
    for (var, value) in [
        ("muc#roominfo_description", "The place for all good witches!"),
        ("muc#roominfo_lang", "en"),
        ("muc#maxhistoryfetch", "50"),
        ("muc#roominfo_subjectmod", "1"),
        ("muc#roomconfig_changesubject", "1"),
        ("muc#roomconfig_allowpm", "anyone"),
        ("muc#roominfo_contactjid", "crone1@shakespeare.lit"),
        ("hats#hash", "8f980cdd26c38676a22071622cc15866c2fd7c5f"),
    ] {
        assert!(fields.contains(&(var.to_owned(), vec![value.to_owned()])), "{var}");
    }
    assert!(!format!("{fields:?}").contains("cauldronburn"));
    assert!(told(&Config::default()).iter().all(|(var, _)| var != "muc#roominfo_description"));
}

#[test]
fn occupants_are_told_what_kind_of_change_it_was() {
    let quiet = Config::default();
    let watched = Config { logging: true, whois: Whois::Anyone, ..Config::default() };
    let named = Config { name: "x".into(), ..watched.clone() };
    assert!(status_codes(&quiet, &quiet).is_empty());
    assert_eq!(status_codes(&quiet, &watched), [170, 172]);
    assert_eq!(status_codes(&watched, &quiet), [171, 173]);
    assert_eq!(status_codes(&watched, &named), [104]);
    assert_eq!(status_codes(&quiet, &named), [104, 170, 172]);
    assert_eq!(watched.changed(&named), ["muc#roomconfig_roomname"]);
}

#[test]
fn a_lone_shadow_may_only_tighten() {
    let base = Config { whois: Whois::Anyone, max_users: Some(50), ..Config::default() };
    let tighter = Config {
        members_only: true,
        moderated: true,
        password: Some("x".into()),
        whois: Whois::Moderators,
        max_users: Some(20),
        ..base.clone()
    };
    assert!(tighter.only_tightens(&base) && base.only_tightens(&base));
    assert!(!base.only_tightens(&tighter));
    for looser in [
        Config { whois: Whois::Anyone, ..tighter.clone() },
        Config { max_users: Some(21), ..tighter.clone() },
        Config { max_users: None, ..tighter.clone() },
        Config { password: Some("y".into()), ..tighter.clone() },
        Config { members_only: false, ..tighter.clone() },
        Config { name: "x".into(), ..tighter.clone() },
    ] {
        assert!(!looser.only_tightens(&tighter), "{looser:?}");
    }
}

#[test]
fn options_answer_the_room() {
    let open = Config::default();
    assert!(!open.may_change_subject(Role::Participant) && open.may_change_subject(Role::Moderator));
    let subject = Config { change_subject: true, ..Config::default() };
    assert!(subject.may_change_subject(Role::Participant) && !subject.may_change_subject(Role::Visitor));

    let closed = Config { members_only: true, ..Config::default() };
    assert!(open.may_invite(Affiliation::None) && !closed.may_invite(Affiliation::Member));
    assert!(closed.may_invite(Affiliation::Admin));
    let inviting = Config { allow_invites: true, ..closed };
    assert!(inviting.may_invite(Affiliation::Member) && !inviting.may_invite(Affiliation::None));

    let broadcasts = Config { presence_broadcast: [Role::Moderator].into(), ..Config::default() };
    assert!(broadcasts.broadcasts(Role::Moderator) && !broadcasts.broadcasts(Role::Visitor));

    let permitted = |who: AllowPm| Role::ALL.map(|role| who.permits(role));
    assert_eq!(permitted(AllowPm::Anyone), [false, true, true, true]);
    assert_eq!(permitted(AllowPm::Participants), [false, false, true, true]);
    assert_eq!(permitted(AllowPm::Moderators), [false, false, false, true]);
    assert_eq!(permitted(AllowPm::Nobody), [false; 4]);
}

#[test]
fn the_member_list_does_not_reveal_what_a_semi_anonymous_room_hides() {
    let semi = Config::default();
    let open = Config { whois: Whois::Anyone, ..Config::default() };
    let closed = Config { get_member_list: BTreeSet::new(), ..open.clone() };
    let member = (Affiliation::Member, Role::Participant);
    assert!(!semi.may_get_member_list(member.0, member.1));
    assert!(open.may_get_member_list(member.0, member.1));
    assert!(!open.may_get_member_list(Affiliation::None, Role::Participant));
    assert!(!closed.may_get_member_list(Affiliation::Member, Role::Moderator));
    assert!(semi.may_get_member_list(Affiliation::None, Role::Moderator));
    assert!(closed.may_get_member_list(Affiliation::Admin, Role::None), "an admin need not be in the room");
}

#[test]
fn registering_gives_nobody_on_the_spot_what_the_room_keeps_from_strangers() {
    let open = Config::default();
    let moderated = Config { moderated: true, ..Config::default() };
    let generous = Config { members_by_default: true, ..moderated.clone() };
    let members_only = Config { members_only: true, ..Config::default() };
    let chosen = Config { registration: Registration::Open, ..members_only.clone() };
    for (config, expected) in [
        (open, Registration::Open),
        (moderated, Registration::Approve),
        (generous, Registration::Open),
        (members_only, Registration::Approve),
        (chosen, Registration::Open),
    ] {
        assert_eq!(config.registration_now(), expected, "{config:?}");
    }
}

//! A Rust server as host, in the same process: stanzas go to local sessions and modules without a wire.
//!
//! One [`Router`] may carry several servers ("sites"), each with its domains of users and of modules. What crosses
//! from one domain to another is counted, can be watched, and can be cut off.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use async_trait::async_trait;
use dmuc_core::stanza::{Condition, Outbound, Template};
use dmuc_core::{Address, Stanza};
use tokio::sync::{Notify, mpsc};

use super::sasl::Accounts;
use super::users::{Session, UserDomain};
use super::{Capabilities, Delivery, Host};
use crate::module::{Inbound, MucModule, Origin};
use crate::wire::parse_stanzas;

/// Stanzas that may wait for one module.
const INBOX: usize = 65_536;

/// What happens to stanzas between two domains that are cut off from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// They are lost without a word.
    Vanish,
    /// They come back with `remote-server-timeout`, and modules are told that the link is down.
    Bounce,
}

/// One direction between two domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Domain of the senders.
    pub from: String,
    /// Domain of the addressees.
    pub to: String,
    /// Stanzas that got through.
    pub stanzas: u64,
    /// Stanzas that did not because the link was cut.
    pub lost: u64,
    /// Whether and how it is cut now.
    pub cut: Option<Cut>,
}

/// A stanza on its way, as shown to observers.
#[derive(Debug)]
pub struct Tap<'a> {
    /// Domain of the sender.
    pub from: &'a str,
    /// Addressee.
    pub to: &'a Address,
    /// The stanza as it would go over a stream.
    pub xml: &'a str,
    /// What becomes of it, if it does not get through.
    pub cut: Option<Cut>,
}

type Observer = Arc<dyn Fn(&Tap<'_>) + Send + Sync>;

#[derive(Default)]
struct Counters {
    stanzas: AtomicU64,
    lost: AtomicU64,
    cut: AtomicU8,
}

impl Counters {
    fn cut(&self) -> Option<Cut> {
        match self.cut.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Cut::Vanish),
            _ => Some(Cut::Bounce),
        }
    }

    fn set_cut(&self, cut: Option<Cut>) {
        let code = match cut {
            None => 0,
            Some(Cut::Vanish) => 1,
            Some(Cut::Bounce) => 2,
        };
        self.cut.store(code, Ordering::Relaxed);
    }

    /// Counts one stanza and says whether it gets through.
    fn pass(&self) -> Option<Cut> {
        let cut = self.cut();
        let counter = if cut.is_none() { &self.stanzas } else { &self.lost };
        counter.fetch_add(1, Ordering::Relaxed);
        cut
    }
}

struct Attached {
    site: String,
    module: Arc<dyn MucModule>,
    inbox: mpsc::Sender<Inbound>,
}

#[derive(Default)]
struct Places {
    modules: BTreeMap<String, Attached>,
    users: BTreeMap<String, UserDomain>,
}

impl Places {
    fn site_of(&self, domain: &str) -> Option<&str> {
        let users = self.users.get(domain).map(|users| users.site.as_str());
        users.or_else(|| self.modules.get(domain).map(|module| module.site.as_str()))
    }

    fn origin(&self, from: &str, site: &str) -> Origin {
        if self.site_of(from) == Some(site) { Origin::Session } else { Origin::Peer(from.to_owned()) }
    }

    fn services(&self, site: &str) -> Vec<String> {
        let of_site = self.modules.iter().filter(|(_, module)| module.site == site);
        of_site.map(|(domain, _)| domain.clone()).collect()
    }
}

/// One stanza for one addressee, serialised or not.
#[derive(Clone, Copy)]
pub(super) enum Parcel<'a> {
    Stanza(&'a Stanza),
    Template(&'a Template, &'a Address),
}

impl Parcel<'_> {
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Self::Stanza(stanza) => stanza.write(out),
            Self::Template(template, to) => template.write(to, out),
        }
    }

    /// The stanza; `None` if it breaks the limits of the wire, which hold here as well.
    pub(super) fn to_stanza(self) -> Option<Stanza> {
        match self {
            Self::Stanza(stanza) => Some(stanza.clone()),
            Self::Template(template, to) => {
                let mut xml = String::new();
                template.write(to, &mut xml);
                parse_stanzas(&xml).pop()
            }
        }
    }
}

/// Carries stanzas between the users and modules of one process.
#[derive(Default)]
pub struct Router {
    places: RwLock<Places>,
    links: RwLock<BTreeMap<String, BTreeMap<String, Arc<Counters>>>>,
    observers: RwLock<Vec<Observer>>,
    handled: Arc<Notify>,
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

impl Router {
    /// A router that knows nobody yet.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Adds a module to a site, with all its domains, and starts handing it stanzas. Needs a tokio runtime.
    pub fn add_module(&self, site: &str, module: &Arc<dyn MucModule>) {
        let (inbox, stanzas) = mpsc::channel(INBOX);
        tokio::spawn(feed(Arc::clone(module), stanzas, Arc::clone(&self.handled)));
        let mut places = write(&self.places);
        for domain in module.domains() {
            let attached =
                Attached { site: site.to_owned(), module: Arc::clone(module), inbox: inbox.clone() };
            places.modules.insert(domain.domain().to_owned(), attached);
        }
    }

    /// Adds a domain of users to a site. They connect through [`serve_clients`](Self::serve_clients).
    pub fn add_users(&self, site: &str, domain: &Address, accounts: Accounts) {
        let users = UserDomain::new(site, domain, accounts);
        write(&self.places).users.insert(domain.domain().to_owned(), users);
    }

    /// The host that the module of `domain` sends through.
    #[must_use]
    pub fn host(self: &Arc<Self>, domain: &Address) -> Arc<InProcessHost> {
        Arc::new(InProcessHost { router: Arc::clone(self), domain: domain.domain().to_owned() })
    }

    /// Shows every stanza to `observer`, which must be fast and must not call the router. Observed stanzas cost a
    /// serialisation each.
    pub fn observe(&self, observer: impl Fn(&Tap<'_>) + Send + Sync + 'static) {
        write(&self.observers).push(Arc::new(observer));
    }

    /// What went between domains so far, in order of their names.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        let links = read(&self.links);
        let flat = links
            .iter()
            .flat_map(|(from, others)| others.iter().map(move |(to, counters)| (from, to, counters)));
        flat.map(|(from, to, counters)| Link {
            from: from.clone(),
            to: to.clone(),
            stanzas: counters.stanzas.load(Ordering::Relaxed),
            lost: counters.lost.load(Ordering::Relaxed),
            cut: counters.cut(),
        })
        .collect()
    }

    /// Cuts both directions between two domains; stanzas vanish.
    pub fn cut(&self, a: &str, b: &str) {
        self.cut_one_way(a, b, Cut::Vanish);
        self.cut_one_way(b, a, Cut::Vanish);
    }

    /// Cuts both directions between two domains; stanzas bounce, and modules learn that the link is down.
    pub fn cut_bouncing(&self, a: &str, b: &str) {
        self.cut_one_way(a, b, Cut::Bounce);
        self.cut_one_way(b, a, Cut::Bounce);
    }

    /// Cuts one direction.
    pub fn cut_one_way(&self, from: &str, to: &str, cut: Cut) {
        self.link(from, to).set_cut(Some(cut));
        if cut == Cut::Bounce {
            self.tell(from, to, false);
        }
    }

    /// Restores both directions between two domains.
    pub fn heal(&self, a: &str, b: &str) {
        for (from, to) in [(a, b), (b, a)] {
            let link = self.link(from, to);
            let was = link.cut();
            link.set_cut(None);
            if was == Some(Cut::Bounce) {
                self.tell(from, to, true);
            }
        }
    }

    fn tell(&self, domain: &str, other: &str, up: bool) {
        let module = read(&self.places).modules.get(domain).map(|attached| Arc::clone(&attached.module));
        if let Some(module) = module {
            module.peer_link(other, up);
        }
    }

    fn link(&self, from: &str, to: &str) -> Arc<Counters> {
        if let Some(link) = read(&self.links).get(from).and_then(|others| others.get(to)) {
            return Arc::clone(link);
        }
        Arc::clone(write(&self.links).entry(from.to_owned()).or_default().entry(to.to_owned()).or_default())
    }

    /// Carries what a module of domain `from` sends. A single stanza may be refused with [`Delivery::Full`]; of a
    /// fan-out, what finds its addressee's inbox full comes back as an error.
    pub(super) fn send(&self, from: &str, out: &Outbound) -> Delivery {
        match out {
            Outbound::One(stanza) => match &stanza.to {
                Some(to) => self.deliver(from, to, Parcel::Stanza(stanza)),
                None => Delivery::NoRoute,
            },
            Outbound::FanOut { template, to } => {
                to.iter().for_each(|to| self.deliver_or_bounce(from, to, Parcel::Template(template, to)));
                Delivery::Accepted
            }
            Outbound::Burst { templates, to } => {
                templates
                    .iter()
                    .for_each(|template| self.deliver_or_bounce(from, to, Parcel::Template(template, to)));
                Delivery::Accepted
            }
        }
    }

    pub(super) fn deliver_or_bounce(&self, from: &str, to: &Address, parcel: Parcel<'_>) {
        if self.deliver(from, to, parcel) == Delivery::Full {
            self.bounce(parcel, Condition::ResourceConstraint);
        }
    }

    fn deliver(&self, from: &str, to: &Address, parcel: Parcel<'_>) -> Delivery {
        if read(&self.places).site_of(to.domain()).is_none() {
            self.bounce(parcel, Condition::RemoteServerNotFound);
            return Delivery::NoRoute;
        }
        let cut = self.link(from, to.domain()).pass();
        self.show(from, to, parcel, cut);
        match cut {
            None => self.hand_over(from, to, parcel),
            Some(Cut::Vanish) => Delivery::Accepted,
            Some(Cut::Bounce) => {
                self.bounce(parcel, Condition::RemoteServerTimeout);
                Delivery::Accepted
            }
        }
    }

    fn show(&self, from: &str, to: &Address, parcel: Parcel<'_>, cut: Option<Cut>) {
        let observers = read(&self.observers);
        if observers.is_empty() {
            return;
        }
        let mut xml = String::new();
        parcel.write(&mut xml);
        observers.iter().for_each(|observer| observer(&Tap { from, to, xml: &xml, cut }));
    }

    fn hand_over(&self, from: &str, to: &Address, parcel: Parcel<'_>) -> Delivery {
        let places = read(&self.places);
        if let Some(users) = places.users.get(to.domain()) {
            let answer = users.deliver(to, parcel, || places.services(&users.site));
            drop(places);
            if let Some(answer) = answer {
                self.answer(&answer);
            }
            return Delivery::Accepted;
        }
        let Some(attached) = places.modules.get(to.domain()) else { return Delivery::NoRoute };
        let Some(stanza) = parcel.to_stanza() else { return Delivery::NoRoute };
        let origin = places.origin(from, &attached.site);
        match attached.inbox.try_send(Inbound { stanza, origin }) {
            Ok(()) => Delivery::Accepted,
            Err(mpsc::error::TrySendError::Full(_)) => Delivery::Full,
            Err(mpsc::error::TrySendError::Closed(_)) => Delivery::Closed,
        }
    }

    /// Hands an answer of the server itself to whom it is for, past all cuts. Answers are never answered.
    fn answer(&self, answer: &Stanza) {
        if let (Some(from), Some(to)) = (&answer.from, &answer.to) {
            let _ = self.hand_over(from.domain(), to, Parcel::Stanza(answer));
        }
    }

    fn bounce(&self, parcel: Parcel<'_>, condition: Condition) {
        let error = parcel.to_stanza().and_then(|stanza| stanza.error(&condition.into()));
        if let Some(error) = error {
            self.answer(&error);
        }
    }

    /// The accounts of a domain of users.
    pub(super) fn accounts(&self, domain: &str) -> Option<Accounts> {
        read(&self.places).users.get(domain).map(|users| users.accounts.clone())
    }

    pub(super) fn with_users<T>(&self, domain: &str, each: impl FnOnce(&UserDomain) -> T) -> Option<T> {
        read(&self.places).users.get(domain).map(each)
    }

    /// A session begins; an older one of the same address ends.
    pub(super) fn session_opened(&self, session: &Arc<Session>) {
        if let Some(users) = write(&self.places).users.get_mut(session.jid.domain()) {
            users.open(session);
        }
    }

    /// A session is over.
    pub(super) fn session_closed(&self, session: &Arc<Session>) {
        let mut places = write(&self.places);
        let Some(users) = places.users.get_mut(session.jid.domain()) else { return };
        if !users.close(session) {
            return;
        }
        let site = users.site.clone();
        let local = places.modules.values().filter(|module| module.site == site);
        let modules: Vec<Arc<dyn MucModule>> = local.map(|attached| Arc::clone(&attached.module)).collect();
        drop(places);
        modules.iter().for_each(|module| module.session_closed(&session.jid));
    }

    fn has_room(&self) -> bool {
        read(&self.places).modules.values().all(|module| module.inbox.capacity() > INBOX / 2)
    }
}

async fn feed(module: Arc<dyn MucModule>, mut stanzas: mpsc::Receiver<Inbound>, handled: Arc<Notify>) {
    while let Some(inbound) = stanzas.recv().await {
        let _ = module.handle(inbound);
        handled.notify_waiters();
    }
}

/// A [`Router`] as the [`Host`] of one module.
pub struct InProcessHost {
    router: Arc<Router>,
    domain: String,
}

/// The domain that a template speaks for: the first attribute of its head is its sender, and neither localpart nor
/// domain can hold a character that needs escaping.
fn sender_domain(template: &Template) -> Option<&str> {
    let (_, from) = template.head().split_once(" from='")?;
    let bare = from.split(['/', '\'']).next()?;
    bare.rsplit('@').next()
}

#[async_trait]
impl Host for InProcessHost {
    fn try_send(&self, out: Outbound) -> Delivery {
        let from = match &out {
            Outbound::One(stanza) => stanza.from.as_ref().map(Address::domain),
            Outbound::FanOut { template, .. } => sender_domain(template),
            Outbound::Burst { templates, .. } => {
                templates.first().and_then(|template| sender_domain(template))
            }
        };
        self.router.send(from.unwrap_or(&self.domain), &out)
    }

    async fn ready(&self) {
        loop {
            let handled = self.router.handled.notified();
            tokio::pin!(handled);
            handled.as_mut().enable();
            if self.router.has_room() {
                return;
            }
            handled.await;
        }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { reports_sessions: true, reports_links: true, ..Capabilities::default() }
    }
}

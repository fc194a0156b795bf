//! Instances that meet: each tells the other its own occupants, once, and until it is acknowledged.

use crate::address::Address;
use crate::clock::Millis;
use crate::instance::Instance;
use crate::replication::gate::Peer;
use crate::replication::{Again, Asked, InstanceInfo, Placement};

impl Instance {
    /// Tells an instance our occupants unless it knows them or is being told. A shadow that has yet to be opened has
    /// nobody to tell of.
    pub(crate) fn introduce(&mut self, instance: &InstanceInfo) {
        let replication = &self.room().replication;
        let needless = instance.introduced || instance.core_only || self.room().head.locked;
        if needless || !self.is_allowed(instance.domain()) || replication.is_being_introduced(&instance.jid) {
            return;
        }
        self.send_occupants(&instance.jid, &Asked::Occupants);
    }

    /// The same for every instance. The source introduces itself as it brings a shadow up.
    pub(crate) fn introduce_to_all(&mut self) {
        let all: Vec<InstanceInfo> = self.room().replication.active().cloned().collect();
        all.iter().for_each(|instance| self.introduce(instance));
    }

    /// A peer's full list has come: who does not know ours gets it in return, and whom we meet for the first time is
    /// asked for what was said before it began to push to us.
    pub(crate) fn meet(&mut self, peer: &Peer, from: &Address, until: u64) {
        let anew = self.room_mut().replication.met.insert(peer.domain.clone(), until).is_none();
        if let Some(instance) = self.room().replication.instance(&peer.domain).cloned() {
            self.introduce(&instance);
        }
        if anew && !self.is_source() {
            self.request_history(from);
        }
    }

    /// A peer has answered our list of occupants.
    pub(crate) fn occupants_answered(&mut self, from: &Address, condition: Option<&str>) {
        let domain = from.domain();
        let tries = self.room_mut().replication.introductions.remove(domain).map_or(0, |again| again.tries);
        let brought = self.placement(domain) == Some(Placement::Bringing);
        match condition {
            None => {
                self.set_introduced(domain, true);
                if brought {
                    self.placed(from);
                }
            }
            Some("item-not-found") if self.is_source() => self.retry_placement(domain, 0, 0),
            Some(_) if brought => self.retry_placement(domain, 0, 0),
            Some(_) => {
                self.set_introduced(domain, false);
                let again = self.try_again(tries, 0);
                self.room_mut().replication.introductions.insert(domain.to_owned(), again);
            }
        }
    }

    pub(crate) fn set_introduced(&mut self, domain: &str, introduced: bool) {
        let Some(instance) = self.room_mut().replication.instance_mut(domain) else { return };
        if instance.introduced != introduced {
            instance.introduced = introduced;
            self.save_instances();
        }
    }

    pub(crate) fn introduce_again(&mut self, now: Millis) {
        let known = &mut self.room_mut().replication;
        let (instances, locked) = (known.instances.clone(), self.room().head.locked);
        for instance in instances {
            let waits = &mut self.room_mut().replication.introductions;
            let due = waits.get(instance.domain()).is_some_and(|again| again.at <= now);
            if !due {
                continue;
            }
            let Again { tries, .. } = waits[instance.domain()];
            if instance.introduced || locked || !self.is_allowed(instance.domain()) {
                self.room_mut().replication.introductions.remove(instance.domain());
                continue;
            }
            // Replaced by the answer; until then it must not be due again.
            let again = self.try_again(tries, 0);
            self.room_mut().replication.introductions.insert(instance.domain().to_owned(), again);
            self.introduce(&instance);
        }
        self.room_mut().replication.forget_strangers();
    }
}

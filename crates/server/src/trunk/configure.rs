//! A configuration that changes while the server runs: which links that begins and ends.

use std::sync::Arc;

use super::registry::{Inner, State, Trunks};
use super::settings::{Entry, Permit};
use crate::config::TrunkConfig;
use crate::store;

/// Why a link ends whose terms have changed; it comes back with the new ones.
const CHANGED: &str = "the configuration of the trunk has changed";

/// Why a link ends that is not configured any more.
const REMOVED: &str = "the other server's operator has removed the trunk";

impl Trunks {
    /// Takes the servers of a new configuration. Links of those that have not changed are left
    /// alone. Name and role stay.
    ///
    /// # Errors
    ///
    /// If the database fails; nothing has changed then.
    pub async fn configure(&self, config: &TrunkConfig) -> anyhow::Result<()> {
        let inner = &self.0;
        let wanted = inner.wanted(config).await?;
        let kept = (
            inner.kept_permits().await?,
            store::trunks::entries(&inner.store).await?,
        );
        inner.state().replace_permits(wanted.permits, kept.0);
        let begin = inner.state().end_entries(wanted.entries, kept.1);
        for entry in begin {
            inner.dial(entry);
        }
        Ok(())
    }
}

/// What a configuration says.
pub(super) struct Wanted {
    pub(super) permits: Vec<Permit>,
    pub(super) entries: Vec<Entry>,
}

impl Inner {
    /// With what is known of the servers.
    pub(super) async fn wanted(self: &Arc<Self>, config: &TrunkConfig) -> anyhow::Result<Wanted> {
        let joined = store::trunks::joined(&self.store).await?;
        let pins = store::trunks::pins(&self.store).await?;
        let permits = config.allow.iter().map(|allow| {
            let joined = joined.get(&allow.secret.key()).cloned();
            Permit::configured(allow, joined.unwrap_or_default())
        });
        let entries = config.to.iter().map(|to| {
            let url = to.address.to_string();
            let pin = pins.get(&to.secret.key()).filter(|(of, _)| *of == url);
            Entry::configured(to, pin.map(|(_, pin)| *pin))
        });
        Ok(Wanted {
            permits: permits.collect(),
            entries: entries.collect(),
        })
    }
}

impl Inner {
    /// Who may join by the page's secrets, and has.
    pub(super) async fn kept_permits(&self) -> anyhow::Result<Vec<Permit>> {
        let joined = store::trunks::joined(&self.store).await?;
        let mut permits = store::trunks::permits(&self.store).await?;
        for permit in &mut permits {
            permit.joined = joined.get(&permit.key).cloned().unwrap_or_default();
        }
        Ok(permits)
    }
}

impl State {
    fn replace_permits(&mut self, wanted: Vec<Permit>, kept: Vec<Permit>) {
        let is_wanted = |key: &str| wanted.iter().any(|permit| permit.key == key);
        let gone = self.permits.values();
        let gone = gone.filter(|permit| permit.configured && !is_wanted(&permit.key));
        let gone: Vec<_> = gone.map(|permit| permit.key.clone()).collect();
        for key in gone {
            self.permits.remove(&key);
            match kept.iter().find(|permit| permit.key == key) {
                // One of the page that it had covered.
                Some(kept) => {
                    self.permits.insert(key.clone(), kept.clone());
                    self.end(&key, false, CHANGED);
                }
                None => self.end(&key, false, "the join secret was revoked"),
            }
        }
        for permit in wanted {
            let before = self.permits.get(&permit.key);
            let same = |it: &Permit| it.rooms == permit.rooms && it.moderate == permit.moderate;
            if before.is_some_and(|before| !same(before)) {
                self.end(&permit.key, false, CHANGED);
            }
            self.permits.insert(permit.key.clone(), permit);
        }
    }

    /// Ends what is not wanted so any more; answers what is to be dialled.
    fn end_entries(&mut self, wanted: Vec<Entry>, kept: Vec<Entry>) -> Vec<Entry> {
        let same = |a: &Entry, b: &Entry| {
            a.key == b.key
                && a.address == b.address
                && a.rooms == b.rooms
                && a.moderate == b.moderate
                && a.configured == b.configured
        };
        // An address is dialled once: what is configured takes the place of what is not.
        let stands = |entry: &Entry| {
            let mut others = wanted.iter();
            match entry.configured {
                true => others.any(|other| same(other, entry)),
                false => {
                    others.all(|other| other.key != entry.key && other.address != entry.address)
                }
            }
        };
        let gone = self.entries.values().map(|dialled| &dialled.entry);
        let gone: Vec<_> = gone.filter(|entry| !stands(entry)).cloned().collect();
        for entry in gone {
            let removed = self.entries.remove(&entry.key);
            if let Some(task) = removed.and_then(|dialled| dialled.task) {
                task.abort();
            }
            let stays = wanted.iter().any(|other| other.key == entry.key);
            self.end(&entry.key, true, if stays { CHANGED } else { REMOVED });
        }
        let all = wanted.into_iter().chain(kept);
        all.filter(|entry| !self.entries.contains_key(&entry.key))
            .collect()
    }
}

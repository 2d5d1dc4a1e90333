//! Bounds on signalling connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::config::LimitsConfig;
use crate::control::Budget;

/// Counts open connections, in total and per address.
#[derive(Debug, Clone)]
pub(super) struct Sockets {
    limits: watch::Receiver<LimitsConfig>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A counted connection; it is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    address: IpAddr,
    counts: Arc<Mutex<Counts>>,
}

impl Sockets {
    pub(super) fn new(limits: watch::Receiver<LimitsConfig>) -> Sockets {
        Sockets {
            limits,
            counts: Arc::default(),
        }
    }

    /// Counts one more; `None` if there are too many.
    pub(super) fn count(&self, address: IpAddr) -> Option<Counted> {
        let address = network_of(address);
        let (most, most_per_address) = {
            let limits = self.limits.borrow();
            (limits.sockets as usize, limits.sockets_per_address as usize)
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.total >= most || of_address >= most_per_address {
            return None;
        }
        counts.total += 1;
        counts.by_address.insert(address, of_address + 1);
        drop(counts);
        Some(Counted {
            address,
            counts: self.counts.clone(),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total = counts.total.saturating_sub(1);
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

/// A client has a whole /64 of IPv6 addresses to itself.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

/// How much one client may say.
#[derive(Debug)]
pub(super) struct Rates {
    messages: Budget,
    offers: Budget,
}

impl Rates {
    pub(super) fn new(limits: &LimitsConfig, now: Instant) -> Rates {
        let messages = f64::from(limits.messages_per_second);
        let offers = f64::from(limits.offers_per_minute);
        Rates {
            messages: Budget::new(now, messages, messages * 4.0),
            offers: Budget::new(now, offers / 60.0, (offers / 2.0).max(1.0)),
        }
    }

    /// One message; false if it is one too many.
    pub(super) fn message(&mut self, now: Instant) -> bool {
        self.messages.take(now)
    }

    /// One session description; false if it is one too many.
    pub(super) fn offer(&mut self, now: Instant) -> bool {
        self.offers.take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(sockets: u32, sockets_per_address: u32) -> LimitsConfig {
        let config = crate::config::Config::load(None, &Default::default()).unwrap();
        LimitsConfig {
            sockets,
            sockets_per_address,
            ..config.limits
        }
    }

    fn sockets(most: u32, most_per_address: u32) -> Sockets {
        Sockets::new(watch::channel(limits(most, most_per_address)).1)
    }

    #[test]
    fn a_new_bound_counts_only_after_a_restart() {
        let (change, current) = watch::channel(limits(1, 1));
        let sockets = Sockets::new(current);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let _held = sockets.count(one).unwrap();
        assert!(sockets.count(one).is_none());
        change.send_replace(limits(2, 2));
        let _more = sockets.count(one).unwrap();
        assert!(sockets.count(one).is_none());
    }

    #[test]
    fn one_address_cannot_take_all_sockets() {
        let sockets = sockets(3, 2);
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        let held = [sockets.count(one).unwrap(), sockets.count(one).unwrap()];
        assert!(sockets.count(one).is_none());
        let other = sockets.count("192.0.2.2".parse().unwrap());
        assert!(other.is_some());
        assert!(sockets.count("192.0.2.3".parse().unwrap()).is_none());
        drop(held);
        assert!(sockets.count(one).is_some());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_client() {
        let sockets = sockets(10, 1);
        let _held = sockets.count("2001:db8::1".parse().unwrap()).unwrap();
        assert!(sockets.count("2001:db8::2".parse().unwrap()).is_none());
        assert!(sockets.count("2001:db8:0:1::1".parse().unwrap()).is_some());
    }
}

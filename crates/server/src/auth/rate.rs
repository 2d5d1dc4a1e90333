//! Bounds how often somebody may try: a bucket for each address, and one for everybody together.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Addresses that are remembered. When there are more, those that have waited longest are
/// forgotten first; the common bucket still holds.
const MAX_ADDRESSES: usize = 4096;

/// So many at once, and so many in the long run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    /// At once.
    pub(super) burst: f64,
    /// Per second, on average.
    pub(super) per_second: f64,
}

/// Too many attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many attempts; wait {retry_after_s} seconds")]
pub struct TooMany {
    /// Seconds until the next attempt is looked at.
    pub retry_after_s: u32,
}

/// Bounds the calls of the server API. An application's server has one address, and is busy when
/// many meetings begin at once.
#[derive(Debug)]
pub struct CallLimit(Limiter);

impl CallLimit {
    /// Nobody has called yet.
    pub fn new(now: Instant) -> Self {
        let each = Rate {
            burst: 200.0,
            per_second: 100.0,
        };
        let all = Rate {
            burst: 1000.0,
            per_second: 500.0,
        };
        Self(Limiter::new(each, all, now))
    }

    /// Takes one call.
    ///
    /// # Errors
    ///
    /// If there were too many.
    pub fn attempt(&self, who: IpAddr, now: Instant) -> Result<(), TooMany> {
        self.0.attempt(who, now)
    }
}

/// Bounds how often other servers may try to join. A server whose secret is right is not held back.
#[derive(Debug)]
pub struct TrunkLimit(Limiter);

impl TrunkLimit {
    /// Nobody has tried yet.
    pub fn new(now: Instant) -> Self {
        let each = Rate {
            burst: 20.0,
            per_second: 0.2,
        };
        let all = Rate {
            burst: 200.0,
            per_second: 10.0,
        };
        Self(Limiter::new(each, all, now))
    }

    /// Takes one attempt.
    ///
    /// # Errors
    ///
    /// If there were too many.
    pub fn attempt(&self, who: IpAddr, now: Instant) -> Result<(), TooMany> {
        self.0.attempt(who, now)
    }

    /// Gives one back: it was a good one.
    pub fn refund(&self, who: IpAddr) {
        self.0.refund(who);
    }
}

/// Bounds how often cameras are tried: whoever has the admin's page could look for what else
/// listens in the network.
#[derive(Debug)]
pub struct CameraLimit(Limiter);

impl CameraLimit {
    /// Nobody has tried yet.
    pub fn new(now: Instant) -> Self {
        let rate = Rate {
            burst: 10.0,
            per_second: 10.0 / 60.0,
        };
        Self(Limiter::new(rate, rate, now))
    }

    /// Takes one attempt, whoever makes it.
    ///
    /// # Errors
    ///
    /// If there were too many.
    pub fn attempt(&self, now: Instant) -> Result<(), TooMany> {
        self.0.attempt(Ipv6Addr::UNSPECIFIED.into(), now)
    }
}

/// Counts attempts.
#[derive(Debug)]
pub(super) struct Limiter {
    each: Rate,
    all: Rate,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    common: Bucket,
    addresses: HashMap<IpAddr, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * rate.per_second).min(rate.burst);
        self.at = now;
    }

    fn wait(&self, rate: Rate) -> Option<TooMany> {
        if self.left >= 1.0 {
            return None;
        }
        let seconds = ((1.0 - self.left) / rate.per_second).ceil();
        Some(TooMany {
            retry_after_s: seconds.clamp(1.0, 3600.0) as u32,
        })
    }
}

impl Limiter {
    /// `each` bounds one address (one /64 of IPv6), `all` everybody together.
    pub(super) fn new(each: Rate, all: Rate, now: Instant) -> Self {
        Self {
            each,
            all,
            buckets: Mutex::new(Buckets {
                common: Bucket {
                    left: all.burst,
                    at: now,
                },
                addresses: HashMap::new(),
            }),
        }
    }

    /// Takes one attempt.
    ///
    /// # Errors
    ///
    /// If there is none left; nothing is taken then.
    pub(super) fn attempt(&self, who: IpAddr, now: Instant) -> Result<(), TooMany> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { common, addresses } = &mut *buckets;
        common.refill(self.all, now);
        if addresses.len() >= MAX_ADDRESSES {
            forget_some(addresses, self.each, now);
        }
        let bucket = addresses.entry(group(who)).or_insert(Bucket {
            left: self.each.burst,
            at: now,
        });
        bucket.refill(self.each, now);
        if let Some(wait) = bucket.wait(self.each).or_else(|| common.wait(self.all)) {
            return Err(wait);
        }
        bucket.left -= 1.0;
        common.left -= 1.0;
        Ok(())
    }

    /// Gives an attempt back: it was a good one.
    pub(super) fn refund(&self, who: IpAddr) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { common, addresses } = &mut *buckets;
        common.left = (common.left + 1.0).min(self.all.burst);
        if let Some(bucket) = addresses.get_mut(&group(who)) {
            bucket.left = (bucket.left + 1.0).min(self.each.burst);
        }
    }
}

fn forget_some(addresses: &mut HashMap<IpAddr, Bucket>, rate: Rate, now: Instant) {
    addresses.retain(|_, bucket| {
        bucket.refill(rate, now);
        bucket.left < rate.burst
    });
    if addresses.len() >= MAX_ADDRESSES {
        // All of them are being held back: drop the half that has most attempts left.
        let mut left: Vec<f64> = addresses.values().map(|b| b.left).collect();
        left.sort_by(f64::total_cmp);
        let median = left[left.len() / 2];
        addresses.retain(|_, bucket| bucket.left < median);
    }
    if addresses.len() >= MAX_ADDRESSES {
        addresses.clear();
    }
}

/// One customer usually has a whole /64 of IPv6.
pub fn group(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limiter(now: Instant) -> Limiter {
        let each = Rate {
            burst: 3.0,
            per_second: 0.5,
        };
        let all = Rate {
            burst: 5.0,
            per_second: 1.0,
        };
        Limiter::new(each, all, now)
    }

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn guessing_from_one_address_is_slowed_down() {
        let now = Instant::now();
        let limiter = limiter(now);
        for _ in 0..3 {
            limiter.attempt(ip(1), now).unwrap();
        }
        assert_eq!(
            limiter.attempt(ip(1), now),
            Err(TooMany { retry_after_s: 2 })
        );
        limiter.attempt(ip(2), now).unwrap();
        limiter
            .attempt(ip(1), now + Duration::from_secs(2))
            .unwrap();
    }

    #[test]
    fn guessing_from_many_addresses_is_slowed_down_too() {
        let now = Instant::now();
        let limiter = limiter(now);
        let passed = (0..100)
            .filter(|i| limiter.attempt(ip(*i), now).is_ok())
            .count();
        assert_eq!(passed, 5);
    }

    #[test]
    fn a_class_behind_one_address_is_not_held_back_by_good_attempts() {
        let now = Instant::now();
        let limiter = limiter(now);
        for _ in 0..100 {
            limiter.attempt(ip(1), now).unwrap();
            limiter.refund(ip(1));
        }
    }

    #[test]
    fn neighbours_in_a_slash_64_are_one() {
        let now = Instant::now();
        let limiter = limiter(now);
        for i in 0..3 {
            limiter
                .attempt(format!("2001:db8::{i}").parse().unwrap(), now)
                .unwrap();
        }
        assert!(
            limiter
                .attempt("2001:db8::ffff".parse().unwrap(), now)
                .is_err()
        );
    }

    #[test]
    fn memory_is_bounded_whoever_comes() {
        let now = Instant::now();
        let rate = Rate {
            burst: 1e9,
            per_second: 0.001,
        };
        let limiter = Limiter::new(rate, rate, now);
        for i in 0..20_000u32 {
            limiter.attempt(IpAddr::from(i.to_be_bytes()), now).unwrap();
        }
        assert!(limiter.buckets.lock().unwrap().addresses.len() <= MAX_ADDRESSES);
    }

    #[test]
    fn flood_of_calls_is_cut_to_its_rate() {
        let now = Instant::now();
        let limit = CallLimit::new(now);
        let calls = (0..1000).filter(|_| limit.attempt([192, 0, 2, 1].into(), now).is_ok());
        assert_eq!(calls.count(), 200);
        let second = now + Duration::from_secs(1);
        let calls = (0..1000).filter(|_| limit.attempt([192, 0, 2, 1].into(), second).is_ok());
        assert_eq!(calls.count(), 100);
    }
}

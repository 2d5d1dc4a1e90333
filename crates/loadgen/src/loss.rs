//! A network that loses some datagrams: at random, but the same ones whenever the seed is the same.

use crate::random::Random;

/// How much is lost in each direction of each connection.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Loss {
    /// Of all datagrams, 0 to 1; handshakes and reports are no exception.
    pub share: f64,
    /// Decides which ones.
    pub seed: u64,
}

/// The network of one connection.
#[derive(Debug)]
pub(crate) struct Network {
    share: f64,
    random: Random,
}

impl Network {
    /// `user` tells the connections of a run apart.
    pub(crate) fn new(loss: Loss, user: u64) -> Network {
        Network {
            share: loss.share,
            random: Random::of(loss.seed, user),
        }
    }

    /// Whether the next datagram is lost.
    pub(crate) fn loses(&mut self) -> bool {
        self.share > 0.0 && self.random.share() < self.share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(share: f64, seed: u64, user: u64) -> Vec<bool> {
        let mut network = Network::new(Loss { share, seed }, user);
        (0..100_000).map(|_| network.loses()).collect()
    }

    #[test]
    fn a_run_cannot_be_repeated() {
        assert_eq!(fates(0.02, 7, 1), fates(0.02, 7, 1));
        assert_ne!(fates(0.02, 7, 1), fates(0.02, 7, 2));
        assert_ne!(fates(0.02, 7, 1), fates(0.02, 8, 1));
    }

    #[test]
    fn more_or_less_is_lost_than_asked_for() {
        let lost = |share| fates(share, 7, 1).iter().filter(|lost| **lost).count();
        assert_eq!((lost(0.0), lost(1.0)), (0, 100_000));
        assert!((1_850..2_150).contains(&lost(0.02)), "{}", lost(0.02));
    }
}

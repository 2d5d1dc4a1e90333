//! Shapes of networks.

use crate::random::Random;

/// How servers are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// All to one.
    Star,
    /// One after the other.
    Line,
    /// A line whose ends are linked.
    Ring,
    /// All to all.
    Mesh,
    /// Connected, with some links more than needed.
    Random,
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 5] = [
        Shape::Star,
        Shape::Line,
        Shape::Ring,
        Shape::Mesh,
        Shape::Random,
    ];

    /// The pairs of servers that are linked.
    pub(super) fn pairs(self, nodes: usize, random: &mut Random) -> Vec<(usize, usize)> {
        let line = (1..nodes).map(|n| (n - 1, n));
        match self {
            Shape::Star => (1..nodes).map(|n| (0, n)).collect(),
            Shape::Line => line.collect(),
            Shape::Ring if nodes > 2 => line.chain([(nodes - 1, 0)]).collect(),
            Shape::Ring => line.collect(),
            Shape::Mesh => (1..nodes)
                .flat_map(|n| (0..n).map(move |m| (m, n)))
                .collect(),
            Shape::Random => {
                let tree = (1..nodes).map(|n| (random.below(n), n));
                let mut pairs: Vec<_> = tree.collect();
                for _ in 0..random.below(nodes + 1) {
                    let (a, b) = (random.below(nodes), random.below(nodes));
                    let pair = (a.min(b), a.max(b));
                    if a != b && !pairs.contains(&pair) {
                        pairs.push(pair);
                    }
                }
                pairs
            }
        }
    }
}

//! Which rooms a link carries.

/// Which rooms a link carries: those that match a pattern of every list. An empty list is all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rooms {
    /// Those of both sides, and of the secret.
    pub lists: Vec<Vec<String>>,
}

impl Rooms {
    /// Whether the link carries a room.
    pub fn allow(&self, room: &str) -> bool {
        let any = |list: &Vec<String>| {
            list.is_empty() || list.iter().any(|pattern| matches(pattern, room))
        };
        self.lists.iter().all(any)
    }
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<_> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_shared_that_no_pattern_names() {
        assert!(matches("kitchen", "kitchen"));
        assert!(!matches("kitchen", "kitchen2"));
        assert!(matches("*", ""));
        assert!(matches("site-*", "site-a"));
        assert!(!matches("site-*", "a site-a"));
        assert!(matches("*-*-c", "a-b-c"));
        assert!(!matches("*-*-c", "a-c"));
        assert!(!matches("ab*ba", "aba"));
        let rooms = Rooms {
            lists: vec![Vec::new(), vec!["a*".into(), "b".into()], vec!["*c".into()]],
        };
        assert!(rooms.allow("abc"));
        assert!(!rooms.allow("b"));
        assert!(Rooms::default().allow("anything"));
    }
}

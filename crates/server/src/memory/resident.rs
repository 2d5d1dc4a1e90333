//! What the process has of the machine's memory, and how much of that nobody uses.

use crate::metrics::resident_bytes;

/// What the process has of the machine's memory, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// What the system says, and what it counts when it is short of memory.
    pub(super) resident: u64,
    /// What of it the allocator keeps although nobody uses it.
    ///
    /// The allocator of musl gives back to the system what is free. That of glibc keeps most of it, so that
    /// after a storm as much is resident as at its height. It is used again, but it is in pieces, and in
    /// heaps of threads that may not be those of the next who come.
    pub(super) kept: u64,
}

impl Usage {
    /// As it is now; `None` elsewhere than on Linux.
    pub(super) fn now() -> Option<Usage> {
        let (resident, kept) = (resident_bytes()?, kept());
        Some(Usage { resident, kept })
    }

    /// What is in use.
    pub(super) fn occupied(self) -> u64 {
        self.resident.saturating_sub(self.kept)
    }
}

/// What glibc keeps.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn kept() -> u64 {
    use malloc_info::info::TotalType;

    let Ok(info) = malloc_info::malloc_info() else {
        return 0;
    };
    let free = info.total.iter().filter(|total| match total.r#type {
        TotalType::Fast | TotalType::Rest => true,
        TotalType::Mmap | TotalType::Other => false,
    });
    free.map(|total| total.size as u64).sum()
}

/// The same: nothing.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn kept() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_freed_counts_as_occupied_for_ever() {
        // Much more than what tests beside this one come and go with.
        let occupied = || Usage::now().unwrap().occupied();
        let before = occupied();
        let blocks: Vec<Vec<u8>> = (0..300_000).map(|_| vec![1; 1024]).collect();
        // One at the end stays, so that nothing above is free.
        let last = vec![1_u8; 1024];
        let full = occupied();
        assert!(full > before + (200 << 20), "{before} {full}");
        drop(blocks);
        let after = occupied();
        assert!(after + (150 << 20) < full, "{full} {after}");
        drop(last);
    }
}

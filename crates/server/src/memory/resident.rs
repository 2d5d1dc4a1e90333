//! What the process has of the machine's memory, and how much of it the next who come can use.

use crate::metrics::resident_bytes;

/// Bytes that are occupied, as far as newcomers are concerned; `None` elsewhere than on Linux.
///
/// The allocator of musl gives back to the system what is free. That of glibc keeps most of it, so that
/// after a storm as much is resident as at its height. Half of that counts as free: it is used again, but
/// it is in pieces, and in heaps of threads that may not be those of the next who come.
pub(super) fn occupied() -> Option<u64> {
    let resident = resident_bytes()?;
    Some(resident.saturating_sub(kept() / 2))
}

/// Bytes that the allocator keeps although nobody uses them.
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
        let before = occupied().unwrap();
        let blocks: Vec<Vec<u8>> = (0..300_000).map(|_| vec![1; 1024]).collect();
        // One at the end stays, so that nothing above is free.
        let last = vec![1_u8; 1024];
        let full = occupied().unwrap();
        assert!(full > before + (200 << 20), "{before} {full}");
        drop(blocks);
        let after = occupied().unwrap();
        assert!(after + (75 << 20) < full, "{full} {after}");
        drop(last);
    }
}

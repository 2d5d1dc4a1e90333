//! The process as the system sees it.

use std::fs;

/// Bytes of memory that are the process's own now. `None` elsewhere than on Linux.
pub(crate) fn resident_bytes() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

/// proc(5): `VmRSS:      1234 kB`.
fn resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// Datagrams that arrived at these UDP ports and found the socket's buffer full. 0 elsewhere than
/// on Linux.
pub(super) fn unread_datagrams(ports: &[u16]) -> u64 {
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"];
    let tables = tables
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    tables.map(|table| unread(&table, ports)).sum()
}

/// proc(5): the second column is `ADDRESS:PORT` in hexadecimal, the last one counts the drops.
fn unread(table: &str, ports: &[u16]) -> u64 {
    let drops = |line: &str| {
        let (_, port) = line.split_whitespace().nth(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let drops = line.split_whitespace().next_back()?.parse::<u64>().ok()?;
        ports.contains(&port).then_some(drops)
    };
    table.lines().filter_map(drops).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_lost_in_the_kernel_and_nobody_knows() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  111: 00000000:9C40 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 87 2 0000000000000000 12
  112: 00000000:9C41 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 88 2 0000000000000000 30
  113: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 89 2 0000000000000000 500
";
        assert_eq!(unread(table, &[40_000, 40_001]), 42);
        assert_eq!(unread("nothing of that kind", &[40_000]), 0);
    }

    #[test]
    fn memory_cannot_be_read() {
        let status = "Name:\tumbrella\nVmHWM:\t  99 kB\nVmRSS:\t   12345 kB\nThreads:\t5\n";
        assert_eq!(resident(status), Some(12_345 * 1024));
        assert_eq!(resident("VmRSS:\t many kB\n"), None);
        if cfg!(target_os = "linux") {
            assert!(resident_bytes() > Some(1024 * 1024));
        }
    }
}
